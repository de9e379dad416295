package queue_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"argosy/queue"
	"argosy/queue/queuetest"
	"argosy/workflow"
	"argosy/workflow/spec"
)

func TestSubmit(t *testing.T) {
	each(t, func(w *world) {
		w.count.Reset()
		run := w.submit("1")
		require.Equal(w.t, w.onCluster(8, 2), w.count.Trips())
		id, err := w.runs.RunID(w.ctx, "argo", run.Name)
		require.NoError(w.t, err)
		require.Equal(w.t, "1", id)
		head, err := w.runs.Head(w.ctx, "1")
		require.NoError(w.t, err)
		require.Equal(w.t, run, head.Run)
		require.Equal(w.t, queue.Digest([]byte(`{"entrypoint":"hello"}`)), head.Digest)

		// Again, since the answer was lost: nothing changes.
		l := w.begin(w.claim())
		w.commit(l, &queue.Commit{State: &workflow.State{Phase: spec.WorkflowRunning}})
		require.NoError(w.t, w.runs.Submit(w.ctx, run, []byte(`{"entrypoint":"hello"}`)))
		head, err = w.runs.Head(w.ctx, "1")
		require.NoError(w.t, err)
		require.Equal(w.t, spec.WorkflowRunning, head.State.Phase)

		// Another of the same name.
		second := newRun("2")
		second.Name = run.Name
		require.ErrorIs(w.t, w.runs.Submit(w.ctx, second, nil), queue.ErrExists)
		_, err = w.runs.Head(w.ctx, "2")
		require.ErrorIs(w.t, err, queue.ErrNotFound)
		_, err = w.runs.RunID(w.ctx, "argo", "none")
		require.ErrorIs(w.t, err, queue.ErrNotFound)
	})
}

func TestNameOfASubmitThatDiedIsFree(t *testing.T) {
	each(t, func(w *world) {
		require.NoError(w.t, w.raw.HSet(w.ctx, "names:{argo}", "hello-1", "dead").Err())
		w.submit("1")
		id, err := w.runs.RunID(w.ctx, "argo", "hello-1")
		require.NoError(w.t, err)
		require.Equal(w.t, "1", id)
	})
}

func TestConcurrentSubmitsOfANameHaveOneWinner(t *testing.T) {
	each(t, func(w *world) {
		const n = 8
		got := make(chan error, n)
		for i := range n {
			go func() {
				run := newRun(fmt.Sprint(i))
				run.Name = "same"
				got <- w.runs.Submit(w.ctx, run, []byte(`{}`))
			}()
		}
		won := 0
		for range n {
			if err := <-got; err == nil {
				won++
			} else {
				require.ErrorIs(w.t, err, queue.ErrExists)
			}
		}
		require.Equal(w.t, 1, won)
	})
}

func TestList(t *testing.T) {
	each(t, func(w *world) {
		for i, id := range []string{"a", "b", "c", "d", "e", "f", "g"} {
			run := newRun(id)
			run.Created = workflow.Millis(1000 + i/3) // some of the same millisecond
			run.Namespace = []string{"one", "two"}[i%2]
			require.NoError(w.t, w.runs.Submit(w.ctx, run, []byte(`{}`)))
		}
		tests := map[string]struct {
			namespace string
			limit     int
			keep      string
			want      string
		}{
			"all namespaces":       {want: "gfedcba", limit: 100},
			"pages":                {want: "gf ed cb a", limit: 2},
			"one namespace":        {namespace: "two", want: "fd b", limit: 2},
			"some":                 {keep: "acg", want: "gc a", limit: 2},
			"none":                 {keep: "-", limit: 2},
			"an unknown namespace": {namespace: "none", limit: 2},
			"exactly one page":     {namespace: "two", want: "fdb", limit: 3},
		}
		for name, tt := range tests {
			o := queue.ListOptions{Limit: tt.limit}
			if tt.keep != "" {
				o.Keep = func(s *queue.Snapshot) bool { return strings.Contains(tt.keep, s.Run.ID) }
			}
			var pages []string
			for {
				page, next, err := w.runs.List(w.ctx, tt.namespace, o)
				require.NoError(w.t, err)
				ids := ""
				for _, s := range page {
					ids += s.Run.ID
				}
				pages = append(pages, ids)
				if o.Continue = next; next == "" {
					break
				}
			}
			require.Equal(w.t, tt.want, strings.Join(pages, " "), name)
		}
		_, _, err := w.runs.List(w.ctx, "one", queue.ListOptions{Continue: "nonsense"})
		require.Error(w.t, err)
		namespaces, err := w.runs.Namespaces(w.ctx)
		require.NoError(w.t, err)
		require.Equal(w.t, []string{"one", "two"}, namespaces)
	})
}

func TestDeleteLeavesNothing(t *testing.T) {
	each(t, func(w *world) {
		run := w.submit("1")
		d := w.launch("1")
		_, err := w.tasks.Claim(w.ctx, d)
		require.NoError(w.t, err)
		require.NoError(w.t, w.tasks.Report(w.ctx, d, succeeded()))
		require.NoError(w.t, queue.NewLogs(w.conn).Append(w.ctx, "1", leaf, []byte("hello\n")))
		ticket := w.claim() // and a turn is under way
		l := w.begin(ticket)

		require.NoError(w.t, w.runs.Delete(w.ctx, "1"))
		_, err = w.turns.Commit(w.ctx, l, &queue.Commit{State: &workflow.State{}, Nodes: []*workflow.Node{{Key: leaf}}})
		require.ErrorIs(w.t, err, queue.ErrFenced)
		require.NoError(w.t, w.turns.Settle(w.ctx, ticket, queue.Settlement{Next: l.Next}))
		_, err = w.runs.RunID(w.ctx, "argo", run.Name)
		require.ErrorIs(w.t, err, queue.ErrNotFound)
		require.ErrorIs(w.t, w.runs.Delete(w.ctx, "1"), queue.ErrNotFound)
		left := slices.DeleteFunc(w.keys("*"), func(k string) bool {
			return strings.HasPrefix(k, "asynq:") || strings.HasPrefix(k, "bell:") || k == "turns:bell" || strings.HasPrefix(k, "spec:") || strings.HasPrefix(k, "{all}:")
		})
		require.Empty(w.t, left)
	})
}

func TestWatchWakesOnCommit(t *testing.T) {
	each(t, func(w *world) {
		w.submit("1")
		ctx, cancel := context.WithCancel(w.ctx)
		changed, err := w.runs.Watch(ctx, "1")
		require.NoError(w.t, err)
		<-changed // to begin with
		w.launch("1")
		<-changed
		cancel()
		for range changed { // closed at last
		}
	})
}

func TestLogsAreFollowed(t *testing.T) {
	each(t, func(w *world) {
		logs := queue.NewLogs(w.conn)
		entries, at, err := logs.Read(w.ctx, "1", leaf, "", 0)
		require.NoError(w.t, err)
		require.Empty(w.t, entries)
		before := w.raw.Time(w.ctx).Val().Truncate(time.Millisecond)
		require.NoError(w.t, logs.Append(w.ctx, "1", leaf, []byte("one\n")))
		require.NoError(w.t, logs.Append(w.ctx, "1", leaf, []byte("two\n")))
		require.NoError(w.t, logs.Append(w.ctx, "1", leaf, nil))
		entries, at, err = logs.Read(w.ctx, "1", leaf, at, time.Second)
		require.NoError(w.t, err)
		require.Len(w.t, entries, 2)
		require.Equal(w.t, "one\n", string(entries[0].Data))
		require.Equal(w.t, "two\n", string(entries[1].Data))
		require.False(w.t, entries[0].At.Before(before))
		require.False(w.t, entries[1].At.Before(entries[0].At))
		written := make(chan error, 1)
		go func() { written <- logs.Append(w.ctx, "1", leaf, []byte("three\xff\n")) }()
		entries, _, err = logs.Read(w.ctx, "1", leaf, at, 5*time.Second)
		require.NoError(w.t, err)
		require.NoError(w.t, <-written)
		require.Len(w.t, entries, 1)
		require.Equal(w.t, "three\xff\n", string(entries[0].Data))
		require.Positive(w.t, w.raw.TTL(w.ctx, w.raw.SMembers(w.ctx, "{r:1}:logs").Val()[0]).Val())
	})
}

func TestLogsKeepTheirEnd(t *testing.T) {
	tests := map[string]struct{ before, pieces, size, want int }{
		"by bytes":   {pieces: 5, size: 300_000, want: 3},
		"by entries": {before: 1998, pieces: 4, size: 10, want: 2000},
		"oversized":  {pieces: 2, size: 2 << 20, want: 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			each(t, func(w *world) {
				logs := queue.NewLogs(w.conn)
				require.NoError(w.t, logs.Append(w.ctx, "1", leaf, []byte("x")))
				stream := w.raw.SMembers(w.ctx, "{r:1}:logs").Val()[0]
				_, err := w.raw.Pipelined(w.ctx, func(p redis.Pipeliner) error {
					for i := range tt.before {
						p.XAdd(w.ctx, &redis.XAddArgs{Stream: stream, Values: []any{"o", i + 2, "d", "x"}})
					}
					return nil
				})
				require.NoError(w.t, err)
				for range tt.pieces {
					require.NoError(w.t, logs.Append(w.ctx, "1", leaf, []byte(strings.Repeat("y", tt.size))))
				}
				require.EqualValues(w.t, tt.want, w.raw.XLen(w.ctx, stream).Val())
			})
		})
	}
}

func TestDemandAndItsMetrics(t *testing.T) {
	each(t, func(w *world) {
		demand := queue.NewDemand(w.conn)
		load, err := demand.Pool(w.ctx, pool)
		require.NoError(w.t, err)
		require.Zero(w.t, load)
		w.submit("1")
		d := w.launch("1")
		since := time.Now().Add(-time.Minute).UnixNano()
		require.NoError(w.t, w.raw.HSet(w.ctx, "asynq:{default}:t:"+d.ID(), "pending_since", since).Err())
		require.NoError(w.t, w.raw.LPush(w.ctx, "asynq:{default}:active", "another").Err())
		load, err = demand.Pool(w.ctx, pool)
		require.NoError(w.t, err)
		require.Equal(w.t, 1, load.Ready)
		require.Equal(w.t, 1, load.Running)
		require.GreaterOrEqual(w.t, load.OldestAge, time.Minute)

		reg := prometheus.NewRegistry()
		require.NoError(w.t, queue.RegisterMetrics(reg, demand))
		samples := gather(w.t, reg)
		require.Equal(w.t, 1.0, samples["argosy_queue_tasks pool=default state=ready"])
		require.Equal(w.t, 1.0, samples["argosy_queue_tasks pool=default state=running"])
		require.GreaterOrEqual(w.t, samples["argosy_queue_oldest_seconds pool=default"], 60.0)
	})
}

func TestUnreachableRedisIsNoZero(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	e, err := queue.StartEmbedded(ctx, queue.EmbeddedMemory)
	require.NoError(t, err)
	conn := queuetest.Connect(t, e.URL)
	reg := prometheus.NewRegistry()
	require.NoError(t, queue.RegisterMetrics(reg, queue.NewDemand(conn)))
	require.NoError(t, e.Stop())
	require.Equal(t, map[string]float64{"argosy_queue_observe_failures_total": 1}, gather(t, reg))
	_, err = queue.NewRuns(conn).Head(ctx, "1")
	require.ErrorContains(t, err, "loading run 1: ")
}

// gather returns a registry's samples by name and labels.
func gather(t testing.TB, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	require.NoError(t, err)
	samples := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetName() + "=" + l.GetValue()
			}
			samples[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return samples
}

func TestLoadReadsTheNodesOfSmallRunsOnly(t *testing.T) {
	each(t, func(w *world) {
		w.submit("1")
		s, err := w.runs.Load(w.ctx, "1", 0)
		require.NoError(w.t, err)
		require.True(w.t, s.Complete, "there are none")
		w.launch("1")
		for most, complete := range map[int]bool{0: false, 1: true, 9: true} {
			s, err := w.runs.Load(w.ctx, "1", most)
			require.NoError(w.t, err)
			require.Equal(w.t, complete, s.Complete)
			require.Equal(w.t, complete, s.Nodes[leaf] != nil)
			require.Contains(w.t, s.Flights, leaf)
			require.EqualValues(w.t, 1, s.Version)
		}
		_, err = w.runs.Load(w.ctx, "2", 9)
		require.ErrorIs(w.t, err, queue.ErrNotFound)
	})
}

func TestDeleteRemovesAnyNumberOfLogs(t *testing.T) {
	each(t, func(w *world) {
		w.submit("1")
		logs := queue.NewLogs(w.conn)
		for i := range 501 {
			require.NoError(w.t, logs.Append(w.ctx, "1", workflow.Root.Attempt(i), []byte("x")))
		}
		require.NoError(w.t, w.runs.Delete(w.ctx, "1"))
		require.Empty(w.t, w.keys("{r:1}:*"))
	})
}
