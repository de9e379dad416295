package coordinator_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/coordinator"
	"argosy/workflow"
	"argosy/workflow/spec"
)

// watcher remembers what it was told.
type watcher []*coordinator.Change

func (w *watcher) Committed(c *coordinator.Change) { *w = append(*w, c) }

func TestObserversAreToldOnceWhatACommitChanged(t *testing.T) {
	t.Parallel()
	for _, partial := range []bool{false, true} {
		m := newMemory(t, run)
		m.partial = partial
		told := &watcher{}
		c, _ := m.start(coordinator.Config{Observers: []coordinator.Observer{told}})
		for m.state.Finished == 0 {
			m.step(c)
			m.work()
		}
		m.step(c)
		require.Len(t, *told, len(m.commits))
		first, last := (*told)[0], (*told)[len(*told)-1]
		require.Empty(t, first.Was.Phase)
		require.Equal(t, spec.WorkflowRunning, first.State.Phase)
		require.Zero(t, last.Was.Finished)
		require.NotZero(t, last.State.Finished)
		phases := map[workflow.Key][]spec.NodePhase{} // of step a, and of the root, from one to the next
		for _, c := range *told {
			for _, n := range c.Nodes {
				if was := c.Before[n.Key]; was != nil {
					require.Contains(t, phases, n.Key, "it was told of when it came to be")
					require.Equal(t, phases[n.Key][len(phases[n.Key])-1], was.Phase, "what was before is as it was told last")
				} else {
					require.NotContains(t, phases, n.Key, "what was before is known")
				}
				phases[n.Key] = append(phases[n.Key], n.Phase)
			}
		}
		require.Equal(t, []spec.NodePhase{spec.NodePending, spec.NodeSucceeded}, phases[keyA])
		require.Equal(t, spec.NodeSucceeded, phases[workflow.Root][len(phases[workflow.Root])-1])
	}
}

func TestObserversAreNotToldOfWhatWasNotCommitted(t *testing.T) {
	t.Parallel()
	for _, hop := range []string{"commit", "committed"} {
		m := newMemory(t, run)
		m.fail = once(hop, errAway)
		told := &watcher{}
		c, _ := m.start(coordinator.Config{Observers: []coordinator.Observer{told}})
		require.ErrorIs(t, c.Step(t.Context(), t.Context()), errAway)
		require.Empty(t, *told)
	}
}
