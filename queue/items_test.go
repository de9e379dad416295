package queue_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/queue"
	"argosy/workflow"
	"argosy/workflow/spec"
)

const loopJSON = `{"spec": {"entrypoint": "main", "templates": [
	{"name": "main", "steps": [[{"name": "a", "template": "leaf", "withSequence": {"count": "40"}}]]},
	{"name": "leaf", "retryStrategy": {"limit": "1"}, "container": {"image": "busybox"}}
]}}`

var loopKey = workflow.Root.Step(0, "a")

// chunked is a run whose loop's first chunk of ten items is held by worker-1.
type chunked struct {
	*world
	plan *workflow.Plan
	d    queue.Delivery
	c    *queue.Claimed
}

func newChunked(w *world) *chunked {
	w.t.Helper()
	wf, err := spec.DecodeWorkflow([]byte(loopJSON))
	require.NoError(w.t, err)
	c := &chunked{world: w}
	c.plan, err = workflow.Compile(wf)
	require.NoError(w.t, err)
	require.NoError(w.t, w.runs.Submit(w.ctx, newRun("1"), []byte(loopJSON)))
	ticket := w.claim()
	l := w.begin(ticket)
	delta, err := workflow.Advance(&workflow.View{
		Run: l.Run, Plan: c.plan, Complete: true, Limits: workflow.Limits{ChunkFrom: 1, Slots: 2, InFlight: 1},
	}, nil, l.Now.Time())
	require.NoError(w.t, err)
	require.Len(w.t, delta.Dispatch, 1)
	c.d = queue.Delivery{Run: "1", Key: delta.Dispatch[0], Number: 1, Pool: pool}
	w.commit(l, &queue.Commit{State: &delta.State, Nodes: delta.Nodes, Send: []queue.Delivery{c.d}})
	w.overdueTurn(ticket)
	c.c, err = w.tasks.Claim(w.ctx, c.d)
	require.NoError(w.t, err)
	return c
}

// pack runs some items of the chunk, the odd ones of which fail twice.
func (c *chunked) pack(from, to int, end bool) *workflow.Pack {
	c.t.Helper()
	chunk, err := c.tasks.Chunk(c.ctx, c.d, c.c.Node.Chunk, "here")
	require.NoError(c.t, err)
	items, err := c.plan.Items(c.c.Run, chunk.Loop, chunk.Needs)
	require.NoError(c.t, err)
	pack := workflow.NewPack(chunk.Loop, from, "here", chunk.HostIndex)
	for i := from; i < to; i++ {
		r := items.Begin(i, chunk.Loop.Started)
		for r.Leaf() != nil {
			code := i % 2
			result := &workflow.Result{Phase: spec.NodeSucceeded, Host: "here", Outputs: &workflow.Values{ExitCode: &code}}
			if code != 0 {
				result.Phase, result.Message = spec.NodeFailed, workflow.ExitMessage(code)
			}
			r.Ended(result)
		}
		require.NoError(c.t, pack.Add(r))
	}
	pack.End = end
	return pack
}

func TestItemsAreRecordedAndCountedOnce(t *testing.T) {
	each(t, func(w *world) {
		c := newChunked(w)
		first := c.pack(0, 4, false)
		require.NoError(w.t, w.tasks.ReportItems(w.ctx, c.d, first))
		require.NoError(w.t, w.tasks.ReportItems(w.ctx, c.d, first), "its answer may have been lost")
		require.NoError(w.t, w.tasks.ReportItems(w.ctx, c.d, c.pack(4, 7, true)))
		require.ErrorIs(w.t, w.tasks.ReportItems(w.ctx, c.d, c.pack(7, 10, true)), queue.ErrFenced, "the delivery is over")

		l := w.begin(w.claim())
		require.Len(w.t, l.Events, 2)
		require.Equal(w.t, &workflow.Tally{
			To: 4, Succeeded: 2, Failed: 2, Leaves: 6, FirstFailed: 1, LastBad: 3, LastPhase: spec.NodeFailed,
		}, l.Events[0].Items)
		require.Equal(w.t, 4, l.Events[1].Items.From)

		packed, err := w.runs.Items(w.ctx, "1", loopKey, 2, 9, nil)
		require.NoError(w.t, err)
		require.Equal(w.t, spec.NodeFailed, packed.Phase(3))
		require.True(w.t, packed.Has(6))
		require.False(w.t, packed.Has(7))
		loop, err := w.runs.Nodes(w.ctx, "1", append([]workflow.Key{loopKey}, loopKey.Child("#call")))
		require.NoError(w.t, err)
		items, err := c.plan.Items(l.Run, loop[loopKey], loop)
		require.NoError(w.t, err)
		item, err := items.Unpack(packed, 5)
		require.NoError(w.t, err)
		nodes := item.Nodes()
		require.Len(w.t, nodes, 3)
		require.Equal(w.t, "No more retries left", nodes[0].Message)
		require.Equal(w.t, "main: Error (exit code 1)", nodes[1].Message)
		require.Equal(w.t, "here", nodes[2].Host)
	})
}

func TestTheEndOfAStepThatNobodyAskedForIsRefused(t *testing.T) {
	for name, report := range map[string]func(c *chunked, stopped bool) error{
		"a step": func(c *chunked, stopped bool) error {
			return c.tasks.Report(c.ctx, c.d, workflow.Result{Phase: spec.NodeFailed, Stopped: stopped})
		},
		"an item": func(c *chunked, stopped bool) error {
			pack := c.pack(0, 2, true)
			pack.Stopped = stopped
			return c.tasks.ReportItems(c.ctx, c.d, pack)
		},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(w *world) {
				c := newChunked(w)
				require.ErrorIs(w.t, report(c, true), queue.ErrFenced, "Redis has lost that somebody did")
				ticket := w.claim()
				w.commit(w.begin(ticket), &queue.Commit{Cancel: &queue.Cancel{Phase: spec.NodeFailed}})
				require.NoError(w.t, report(c, true))
			})
		})
	}
}

func TestAReportOfItemsIsFenced(t *testing.T) {
	for name, entry := range map[string]string{
		"sent anew":       "sent|2|9999999999999|default|",
		"held by another": "held|2|9999999999999|default|worker-2",
		"ended":           "",
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(w *world) {
				c := newChunked(w)
				pack := c.pack(0, 2, false)
				require.NoError(w.t, w.raw.HDel(w.ctx, "{r:1}:fly", string(c.d.Key)).Err())
				if entry != "" {
					require.NoError(w.t, w.raw.HSet(w.ctx, "{r:1}:fly", string(c.d.Key), entry).Err())
				}
				require.ErrorIs(w.t, w.tasks.ReportItems(w.ctx, c.d, pack), queue.ErrFenced)
				packed, err := w.runs.Items(w.ctx, "1", loopKey, 0, 10, nil)
				require.NoError(w.t, err)
				require.False(w.t, packed.Has(0))
			})
		})
	}
}

func TestAReportAfterOneThatRedisLostIsRefused(t *testing.T) {
	each(t, func(w *world) {
		c := newChunked(w)
		require.ErrorIs(w.t, w.tasks.ReportItems(w.ctx, c.d, c.pack(3, 5, false)), queue.ErrFenced)
		require.ErrorIs(w.t, w.tasks.ReportItems(w.ctx, c.d, c.pack(3, 3, true)), queue.ErrFenced)
		require.NoError(w.t, w.tasks.ReportItems(w.ctx, c.d, c.pack(0, 3, false)))
		require.NoError(w.t, w.tasks.ReportItems(w.ctx, c.d, c.pack(3, 5, false)))
	})
}

func TestTheNextWorkerOfAChunkSeesWhatWasRecorded(t *testing.T) {
	each(t, func(w *world) {
		c := newChunked(w)
		require.NoError(w.t, w.tasks.ReportItems(w.ctx, c.d, c.pack(0, 3, false)))
		w.overdue("1")
		l := w.begin(w.claim())
		require.Len(w.t, l.Lost, 1)
		again := l.Lost[0].Again()
		w.commit(l, &queue.Commit{Send: []queue.Delivery{again}})
		next := queue.NewTasks(w.conn, "worker-2", time.Minute)
		claimed, err := next.Claim(w.ctx, again)
		require.NoError(w.t, err)
		chunk, err := next.Chunk(w.ctx, again, claimed.Node.Chunk, "there")
		require.NoError(w.t, err)
		require.True(w.t, chunk.Recorded.Has(2))
		require.False(w.t, chunk.Recorded.Has(3))
		require.Equal(w.t, byte(2), chunk.HostIndex)
		require.ErrorIs(w.t, w.tasks.ReportItems(w.ctx, c.d, c.pack(3, 5, true)), queue.ErrFenced)
	})
}

func TestADeletedLoopLeavesNothing(t *testing.T) {
	each(t, func(w *world) {
		c := newChunked(w)
		require.NoError(w.t, w.tasks.ReportItems(w.ctx, c.d, c.pack(0, 3, false)))
		require.NoError(w.t, w.runs.Delete(w.ctx, "1"))
		require.ErrorIs(w.t, w.tasks.ReportItems(w.ctx, c.d, w.tallied()), queue.ErrFenced)
		_, err := w.tasks.Chunk(w.ctx, c.d, c.c.Node.Chunk, "here")
		require.ErrorIs(w.t, err, queue.ErrNotFound)
		require.Empty(w.t, w.keys("{r:1}:*"))
	})
}

// tallied is a pack of nothing.
func (w *world) tallied() *workflow.Pack { return &workflow.Pack{Tally: workflow.Tally{End: true}} }

// An item without outputs costs its record, and the extras of others nothing.
func TestAnItemCostsTwelveBytes(t *testing.T) {
	t.Parallel()
	require.Equal(t, 12, workflow.ItemSize)
	w := newWorld(t, cluster.Use(t))
	c := newChunked(w)
	pack := c.pack(0, 1, false)
	require.NoError(t, w.tasks.ReportItems(w.ctx, c.d, pack))
	records, extras := queue.ItemKeys("1", loopKey)
	require.Equal(t, int64(workflow.ItemSize), w.raw.StrLen(w.ctx, records).Val())
	require.Zero(t, w.raw.HLen(w.ctx, extras).Val(), fmt.Sprint(pack.Extras))
}
