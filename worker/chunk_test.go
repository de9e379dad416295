package worker

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/util/intstr"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// startChunk is a worker that is given a chunk of ten items.
func startChunk(t *testing.T, cfg Config, state workflow.ChunkState, lost int, exec Executor) *rig {
	t.Helper()
	r := &rig{queue: newFakeQueue(), specs: newFakeSpecs(), done: make(chan error, 1)}
	r.queue.chunk = r.specs.loop()
	r.queue.node = &workflow.Node{Key: r.queue.chunk.Loop.Key.Child("#c0"), Template: "main", Lost: lost, Chunk: &state}
	return r.run(t, cfg, exec)
}

// loop adds a chunked loop over ten leaves to the spec.
func (s *fakeSpecs) loop() *Chunk {
	count := intstr.FromInt32(10)
	s.wf.Spec.Templates = append(s.wf.Spec.Templates, spec.Template{
		Name: "outer", Steps: []spec.ParallelSteps{{Steps: []spec.WorkflowStep{{Name: "a", Template: "main", WithSequence: &spec.Sequence{Count: &count}}}}},
	})
	loop := &workflow.Node{
		Key: workflow.Root.Step(0, "a"), Type: spec.NodeTypeTaskGroup, Template: "main", Started: workflow.At(time.Now()),
		Loop: &workflow.LoopState{Count: 10, Sequence: &workflow.SequenceState{}},
	}
	call := workflow.ItemNeeds(loop, 0, 0)[0]
	return &Chunk{Loop: loop, Needs: map[workflow.Key]*workflow.Node{call: {Key: call, Call: &workflow.CallState{Caller: "outer"}}}}
}

// tallies are what the worker reported of items: from, to, and whether it was the end.
func (r *rig) tallies() [][3]int {
	var out [][3]int
	for _, p := range r.queue.packs {
		end := 0
		if p.End {
			end = 1
		}
		out = append(out, [3]int{p.From, p.To, end})
	}
	return out
}

// takes is an executor whose steps take so long.
func takes(d time.Duration) ExecutorFunc {
	return func(ctx context.Context, _ *Step) (workflow.Result, error) {
		select {
		case <-ctx.Done():
			return workflow.Result{}, context.Cause(ctx)
		case <-time.After(d):
			return Exited(0, ""), nil
		}
	}
}

var wholeChunk = workflow.ChunkState{To: 10}

func TestAChunkIsReportedInPacks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		state workflow.ChunkState
		lost  int
		each  time.Duration
		want  [][3]int
	}{
		"at once when it is fast": {wholeChunk, 0, time.Millisecond, [][3]int{{0, 10, 1}}},
		"one by one when it is not, and cut at its end": {wholeChunk, 0, 60 * time.Millisecond,
			[][3]int{{0, 1, 0}, {1, 2, 0}, {2, 3, 0}, {3, 4, 1}}},
		"one item when each takes long": {wholeChunk, 0, time.Minute, [][3]int{{0, 1, 1}}},
		"one by one after a worker's death": {workflow.ChunkState{From: 6, To: 10}, 1, time.Millisecond,
			[][3]int{{6, 7, 0}, {7, 8, 0}, {8, 9, 0}, {9, 10, 1}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := startChunk(t, Config{}, c.state, c.lost, takes(c.each))
				r.queue.deliveries <- first
				pass(2 * time.Minute)
				require.Equal(t, c.want, r.tallies())
				require.Empty(t, r.queue.reports)
				r.finish(t)
			})
		})
	}
}

func TestAStopEndsAChunkAtItsItem(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ran := 0
		r := startChunk(t, Config{}, wholeChunk, 0, ExecutorFunc(func(ctx context.Context, s *Step) (workflow.Result, error) {
			if ran++; ran == 1 {
				return takes(slowItem)(ctx, s)
			}
			return forever(ctx, s)
		}))
		r.queue.deliveries <- first
		pass(2 * slowItem)
		r.queue.set(func() { r.queue.lease[first] = LeaseCancelled })
		pass(time.Second)
		require.Equal(t, [][3]int{{0, 1, 0}, {1, 2, 1}}, r.tallies())
		require.Equal(t, []bool{false, true}, []bool{r.queue.packs[0].Stopped, r.queue.packs[1].Stopped})
		r.finish(t)
	})
}

func TestAWorkerThatStopsKeepsWhatEndedOfAChunk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ran := 0
		r := startChunk(t, Config{}, wholeChunk, 0, ExecutorFunc(func(ctx context.Context, s *Step) (workflow.Result, error) {
			if ran++; ran <= 3 {
				return Exited(0, ""), nil
			}
			return forever(ctx, s)
		}))
		r.queue.deliveries <- first
		pass(10 * time.Millisecond)
		r.finish(t)
		require.Equal(t, [][3]int{{0, 3, 0}}, r.tallies())
		require.Equal(t, []Delivery{first}, r.queue.released)
	})
}

func TestAnItemThatWorkersDieWithIsGivenUpAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ran := 0
		r := startChunk(t, Config{}, workflow.ChunkState{To: 10, Poison: true}, 5, ExecutorFunc(func(context.Context, *Step) (workflow.Result, error) {
			ran++
			return Exited(0, ""), nil
		}))
		r.queue.deliveries <- first
		pass(time.Second)
		require.Equal(t, 9, ran)
		require.Equal(t, 1, r.queue.packs[0].Errors)
		require.Contains(t, string(r.queue.packs[0].Extras[0]), "poison")
		r.finish(t)
	})
}

func TestAChunkWithALostLeaseReportsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := startChunk(t, Config{}, wholeChunk, 0, ExecutorFunc(forever))
		r.queue.deliveries <- first
		r.queue.set(func() { r.queue.lease[first] = LeaseLost })
		pass(2 * time.Second)
		require.Empty(t, r.queue.packs)
		require.Empty(t, r.queue.released)
		r.finish(t)
	})
}

func TestAChunkThatCannotBeOpenedIsHandedBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := startChunk(t, Config{}, wholeChunk, 0, ExecutorFunc(func(context.Context, *Step) (workflow.Result, error) {
			return workflow.Result{}, errors.New("unreachable")
		}))
		r.queue.set(func() { r.queue.chunk.Needs = nil })
		r.queue.deliveries <- first
		pass(10 * time.Second)
		require.Empty(t, r.queue.packs)
		require.Equal(t, []Delivery{first}, r.queue.released)
		require.True(t, strings.Contains(r.log.String(), "no chunked loop"))
		r.finish(t)
	})
}
