package queue_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"argosy/queue"
	"argosy/queue/queuetest"
	"argosy/workflow"
	"argosy/workflow/spec"
)

const given = string(workflow.RunPlace) + " granted"

func (l *locking) places(p queue.PlaceLimits) {
	l.t.Helper()
	require.NoError(l.t, l.locks.SetPlaces(l.ctx, p))
}

func (l *locking) place(run *workflow.Run, token int64, what string) {
	l.t.Helper()
	l.begun(run, token)
	require.NoError(l.t, l.locks.Do(l.ctx, run, &queue.Ordering{Token: token}, &workflow.Orders{Place: what}))
}

// in makes a run of a namespace that asks for a place.
func (l *locking) in(namespace, name string, created workflow.Millis, priority int32) *workflow.Run {
	l.t.Helper()
	run := &workflow.Run{ID: name, Name: name, Namespace: namespace, Created: created}
	require.NoError(l.t, l.runs.Submit(l.ctx, run, []byte(`{"entrypoint":"hello"}`)))
	l.begun(run, 1)
	require.NoError(l.t, l.locks.Do(l.ctx, run, &queue.Ordering{Token: 1}, &workflow.Orders{Priority: priority, Place: workflow.LockAsk}))
	return run
}

// began says which of some runs were given a place, and has them take it.
func (l *locking) began(runs ...*workflow.Run) (names []string) {
	l.t.Helper()
	for _, run := range runs {
		if slices.Contains(l.told(run), given) {
			names = append(names, run.Name)
			l.place(run, 2, workflow.LockHold)
		}
	}
	return names
}

func (l *locking) placesLeft() (left []string) {
	for _, k := range l.keys("{places}:*") {
		if !strings.HasSuffix(k, ":limits") {
			left = append(left, k)
		}
	}
	return left
}

func TestPlacesGoToTheHigherPriorityAndThenTheOlderRun(t *testing.T) {
	each(t, func(w *world) {
		l := newLocking(w)
		l.places(queue.PlaceLimits{All: 1})
		first, young, old, high := l.in("argo", "first", 1, 0), l.in("other", "young", 3, 0), l.in("argo", "old", 2, 0), l.in("argo", "high", 4, 7)
		all := []*workflow.Run{first, young, old, high}
		before := first
		require.Equal(w.t, []string{"first"}, l.began(all...))
		for _, next := range []*workflow.Run{high, old, young} {
			l.place(before, 3, workflow.LockFree)
			require.Equal(w.t, []string{next.Name}, l.began(all...))
			before = next
		}
		l.place(before, 3, workflow.LockFree)
		require.Empty(w.t, l.placesLeft())
	})
}

func TestANamespaceThatIsFullHoldsUpNoOther(t *testing.T) {
	each(t, func(w *world) {
		l := newLocking(w)
		l.places(queue.PlaceLimits{All: 4, Each: 1, Of: map[string]int{"wide": 2}})
		var all []*workflow.Run
		for i := range 3 {
			for _, namespace := range []string{"a", "wide"} {
				all = append(all, l.in(namespace, fmt.Sprint(namespace, i), workflow.Millis(i), 5))
			}
		}
		all = append(all, l.in("late", "late0", 9, 0), l.in("late", "late1", 9, 0))
		require.Equal(w.t, []string{"a0", "wide0", "wide1", "late0"}, l.began(all...))
		l.place(all[0], 3, workflow.LockFree)
		require.Equal(w.t, []string{"a1"}, l.began(all...))
	})
}

func TestMoreRunsBeginWhenTheirLimitIsRaised(t *testing.T) {
	each(t, func(w *world) {
		l := newLocking(w)
		l.places(queue.PlaceLimits{All: 2})
		var all []*workflow.Run
		for i := range 450 {
			all = append(all, l.in("argo", fmt.Sprintf("run%03d", i), workflow.Millis(i), 0))
		}
		require.Len(w.t, l.began(all...), 2)
		l.places(queue.PlaceLimits{All: 1}) // nobody loses his place, and nobody gets one
		l.place(all[0], 3, workflow.LockFree)
		require.Empty(w.t, l.began(all...))
		l.places(queue.PlaceLimits{All: 3})
		require.Equal(w.t, []string{"run002", "run003"}, l.began(all...))
		l.places(queue.PlaceLimits{})
		require.Len(w.t, l.began(all...), 450-4)
	})
}

func TestAPlaceThatWasGivenIsToldOfUntilItIsTaken(t *testing.T) {
	each(t, func(w *world) {
		l := newLocking(w)
		l.places(queue.PlaceLimits{All: 1})
		a, b := l.in("argo", "a", 1, 0), l.in("argo", "b", 2, 0)
		l.told(a)
		l.place(a, 2, workflow.LockAsk)
		require.Equal(w.t, []string{given}, l.told(a), "asked again it says the same")
		require.NoError(w.t, w.raw.ZAdd(w.ctx, "{places}:unsure", zAt("a|"+string(workflow.RunPlace), 1)).Err())
		require.NoError(w.t, l.locks.Sweep(w.ctx))
		require.Equal(w.t, []string{given}, l.told(a))
		l.place(a, 3, workflow.LockHold)
		require.NoError(w.t, w.raw.ZAdd(w.ctx, "{places}:seen", zAt("a", 1)).Err())
		require.NoError(w.t, l.locks.Sweep(w.ctx))
		require.Equal(w.t, []string{"look"}, l.told(a), "a run that has said nothing for long is asked")

		err := l.locks.Do(w.ctx, a, &queue.Ordering{Token: 2}, &workflow.Orders{Place: workflow.LockFree})
		require.ErrorIs(w.t, err, queue.ErrFenced, "a turn that comes late is refused")

		// What belongs to no run goes to the next.
		require.NoError(w.t, w.runs.Remove(w.ctx, "a"))
		require.NoError(w.t, w.raw.ZAdd(w.ctx, "{places}:seen", zAt("a", 1)).Err())
		require.NoError(w.t, l.locks.Sweep(w.ctx))
		require.Equal(w.t, []string{given}, l.told(b))
	})
}

func TestAPlaceWhoseGrantRedisLostIsNotTold(t *testing.T) {
	each(t, func(w *world) {
		if w.onCluster(1, 0) == 1 {
			return // there it may lose one side only
		}
		l := newLocking(w)
		l.places(queue.PlaceLimits{All: 1})
		a, b := l.in("argo", "a", 1, 0), l.in("argo", "b", 2, 0)
		require.Equal(w.t, []string{"a"}, l.began(a, b))
		require.NoError(w.t, w.raw.ZAdd(w.ctx, "{places}:unsure", zAt("b|"+string(workflow.RunPlace), 1)).Err())
		require.NoError(w.t, l.locks.Sweep(w.ctx))
		require.Empty(w.t, l.told(b), "it still waits")
	})
}

func TestARunGivesItsPlaceBackWithItsEnd(t *testing.T) {
	each(t, func(w *world) {
		l := newLocking(w)
		l.places(queue.PlaceLimits{Each: 1})
		a, b := l.in("argo", "a", 1, 0), l.in("argo", "b", 2, 0)
		require.Equal(w.t, []string{"a"}, l.began(a, b))
		require.NoError(w.t, l.locks.Drop(w.ctx, "a"))
		require.Empty(w.t, l.began(b), "it goes on")
		loaded := w.begin(w.claim())
		w.commit(loaded, &queue.Commit{State: &workflow.State{Phase: spec.WorkflowSucceeded, Finished: 5, Locked: true}})
		require.NoError(w.t, l.locks.Drop(w.ctx, loaded.Run.ID))
		require.Equal(w.t, []string{"b"}, l.began(b))
	})
}

func TestADeletedRunGivesBackThePlaceThatItAskedForMeanwhile(t *testing.T) {
	each(t, func(w *world) {
		l := newLocking(w)
		l.places(queue.PlaceLimits{Each: 1})
		a := w.submit("a")
		turn := func() {
			w.commit(w.begin(w.claim()), &queue.Commit{State: &workflow.State{Phase: spec.WorkflowPending, Locked: true}})
			l.place(a, 1, workflow.LockAsk)
			l.place(a, 2, workflow.LockHold)
		}
		conn := queuetest.ConnectWith(w.t, w.url, queue.Options{Hook: &afterFirst{command: "mget", do: turn}})
		require.NoError(w.t, queue.NewRuns(conn).Remove(w.ctx, "a"))
		require.Equal(w.t, []string{"b"}, l.began(l.in("argo", "b", 2, 0)))
	})
}

// afterFirst is a hook that does something after the first command of a name.
type afterFirst struct {
	command string
	do      func()
}

func (a *afterFirst) DialHook(next redis.DialHook) redis.DialHook { return next }

func (a *afterFirst) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (a *afterFirst) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if cmd.Name() == a.command && a.do != nil {
			do := a.do
			a.do = nil
			do()
		}
		return err
	}
}

func TestAPlaceThatRedisForgotIsKept(t *testing.T) {
	each(t, func(w *world) {
		l := newLocking(w)
		l.places(queue.PlaceLimits{All: 1})
		a, b := l.in("argo", "a", 1, 0), l.in("argo", "b", 2, 0)
		require.Equal(w.t, []string{"a"}, l.began(a, b))
		require.NoError(w.t, w.raw.Del(w.ctx, "{places}:runs", "{places}:held", "{places}:h:argo", "{places}:w:argo").Err())
		l.begun(a, 3)
		require.NoError(w.t, l.locks.Do(w.ctx, a, &queue.Ordering{Token: 3}, &workflow.Orders{All: true, Place: workflow.LockHold}))
		l.begun(b, 3)
		require.NoError(w.t, l.locks.Do(w.ctx, b, &queue.Ordering{Token: 3}, &workflow.Orders{All: true, Place: workflow.LockAsk}))
		require.Empty(w.t, l.began(b))
		require.NoError(w.t, w.runs.Remove(w.ctx, "a"))
		require.NoError(w.t, l.locks.Drop(w.ctx, "a"))
		require.Equal(w.t, []string{given}, l.told(b))
	})
}

func zAt(member string, at float64) redis.Z { return redis.Z{Score: at, Member: member} }
