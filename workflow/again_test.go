package workflow_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// takeUp has the next turn take the run up again.
func (e *engine) takeUp(a workflow.Again) {
	e.t.Helper()
	state, err := e.view.State.TakeUp(a)
	require.NoError(e.t, err)
	e.view.State = state
}

// again takes the run up, and each leaf that is run from now on has another fate.
func (c *chaos) again(life uint64, a workflow.Again) {
	c.t.Helper()
	c.takeUp(a)
	c.answered, c.last, c.closings, c.timers, c.locks = nil, nil, nil, map[workflow.Timer]workflow.Millis{}, newLockbook(c.t)
	c.sent = map[workflow.Key]bool{}
	if c.n.lives == nil {
		c.n.lives = map[workflow.Key]uint64{}
	}
	c.life = life
	c.finish()
}

// some are two nodes of the run, or one.
func (c *chaos) some() []workflow.Key {
	var keys []workflow.Key
	for k, n := range c.view.Nodes {
		if n.Type != "" && !strings.Contains(string(k), "/!") {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return []workflow.Key{keys[c.r.IntN(len(keys))], keys[c.r.IntN(len(keys))]}
}

func TestRunsThatAreTakenUpAgainEndAsIfTheyHadRunSoAtOnce(t *testing.T) {
	t.Parallel()
	ran, better := 0, 0
	for seed := range uint64(chaosSeeds) {
		n := randomNested(seed, false)
		if len(n.reference().phases) > 300 {
			continue
		}
		c := newChaos(t, n, seed)
		if seed%4 == 0 {
			c.closings = []workflow.Event{stop}
		}
		c.finish()
		for life := uint64(1); life < 4; life++ {
			var a workflow.Again
			switch life {
			case 2:
				a.Renewed = true
			case 3:
				a.Keys = c.some()
			}
			if c.view.State.Phase == spec.WorkflowSucceeded && len(a.Keys) == 0 {
				continue
			}
			c.again(life*1000, a)
			c.requireSettled()
			f := n.reference()
			got := map[workflow.Key]spec.NodePhase{}
			for k, n := range c.view.Nodes {
				if n.Type != "" {
					got[k] = n.Phase
				}
			}
			for _, phases := range []map[workflow.Key]spec.NodePhase{got, f.phases} {
				for k := range phases {
					// Those of the run are run once, when they are true first; a stop ends others, of
					// nodes that are kept.
					if strings.HasPrefix(string(k), string(workflow.Root.Hook("h"))) || seed%4 == 0 && strings.Contains(string(k), "/!hooks.h") {
						delete(phases, k)
					}
				}
			}
			require.Equal(t, f.phases, got, "seed %d life %d\n%s", seed, life, n.yaml())
			ran++
			if c.view.State.Phase == spec.WorkflowSucceeded {
				better++
			}
		}
	}
	require.Greater(t, ran, 100)
	require.Greater(t, better, 20)
}

func TestRunsEndWhateverIsTakenUpAgain(t *testing.T) {
	t.Parallel()
	for seed := range uint64(chaosSeeds) {
		n := randomNested(seed, true)
		if len(n.reference().phases) > 300 {
			continue
		}
		c := newChaos(t, n, seed)
		c.closings = [][]workflow.Event{nil, {stop}}[seed%2]
		c.finish()
		for life := uint64(1); life < 4; life++ {
			c.again(life*1000, workflow.Again{Renewed: seed%3 == 0, Keys: c.some()})
			c.requireSettled()
		}
	}
}

func TestChunkedLoopsThatAreTakenUpAgainEndAsThePlainOnes(t *testing.T) {
	t.Parallel()
	reopened := 0
	for seed := range uint64(chaosSeeds) {
		n, m := randomNested(seed, false), randomNested(seed, false)
		if len(n.reference().phases) > 300 {
			continue
		}
		plain, chunks := newChaos(t, n, seed), newChaos(t, m, seed)
		chunks.chunkFrom = 1
		plain.finish()
		chunks.finish()
		for life := uint64(1); life < 3 && plain.view.State.Phase != spec.WorkflowSucceeded; life++ {
			plain.again(life*1000, workflow.Again{})
			chunks.again(life*1000, workflow.Again{})
			for _, node := range chunks.view.Nodes {
				if node.Loop != nil && node.Loop.Chunks != nil {
					reopened++
				}
			}
			require.Equal(t, plain.view.State.Phase, chunks.view.State.Phase, "seed %d life %d\n%s", seed, life, n.yaml())
			require.Equal(t, plain.view.State.Total, chunks.view.State.Total, "seed %d life %d\n%s", seed, life, n.yaml())
			require.Equal(t, plain.view.State.Done, chunks.view.State.Done)
		}
		chunks.spread()
		require.Equal(t, plain.records(), chunks.records(), "seed %d\n%s", seed, n.yaml())
	}
	require.Greater(t, reopened, 30)
}

func TestWhatCannotBeTakenUpAgainIsRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		phase spec.WorkflowPhase
		keys  []workflow.Key
		want  string
	}{
		{spec.WorkflowRunning, nil, "Cannot retry a workflow in phase Running"},
		{"", nil, "Cannot retry a workflow in phase Pending"},
		{spec.WorkflowSucceeded, nil, "To retry a succeeded workflow, set the options restartSuccessful and nodeFieldSelector"},
		{spec.WorkflowSucceeded, []workflow.Key{"/.a"}, ""},
		{spec.WorkflowFailed, nil, ""},
		{spec.WorkflowError, nil, ""},
	} {
		state := workflow.State{Phase: tt.phase}
		_, err := state.TakeUp(workflow.Again{Keys: tt.keys})
		if tt.want == "" {
			require.NoError(t, err)
			continue
		}
		require.EqualError(t, err, tt.want)
	}
}

// resubmitted is a run that takes over what succeeded in another, which has ended.
func (c *chaos) resubmitted(life uint64) *chaos {
	c.t.Helper()
	d := newChaos(c.t, c.n, life)
	d.n.lives, d.life, d.chunkFrom = map[workflow.Key]uint64{}, life, c.chunkFrom
	run := *d.view.Run
	run.Name, run.From = "new", &workflow.Origin{ID: "uid", Name: "wf"}
	d.view.Run, d.view.From = &run, c.view.Nodes
	for k, p := range c.shelf {
		d.shelf[k] = &workflow.Packed{Records: slices.Clone(p.Records), Extras: maps.Clone(p.Extras), Hosts: p.Hosts}
		d.shelf[k].Reuse()
	}
	d.finish()
	return d
}

func TestAMemoizedRunEndsAsIfTheOtherHadBeenTakenUpAgain(t *testing.T) {
	t.Parallel()
	ran, reused := 0, 0
	for seed := range uint64(chaosSeeds) {
		n := randomNested(seed, false)
		if len(n.reference().phases) > 300 {
			continue
		}
		var plain *workflow.State
		for _, chunkFrom := range []int{-1, 1} {
			n.lives = nil
			c := newChaos(t, n, seed)
			c.chunkFrom = chunkFrom
			c.finish()
			if !c.view.State.Phase.Completed() || c.view.State.Phase == spec.WorkflowSucceeded {
				continue
			}
			d := c.resubmitted(1000)
			d.spread()
			f := n.reference()
			got := map[workflow.Key]spec.NodePhase{}
			for k, n := range d.view.Nodes {
				if n.Type == "" {
					continue
				}
				if got[k] = n.Phase; n.Reused {
					require.Equal(t, "original pod: "+k.ID("wf"), n.Message)
					got[k] = spec.NodeSucceeded
					reused++
				}
			}
			for _, phases := range []map[workflow.Key]spec.NodePhase{got, f.phases} {
				for k := range phases {
					if strings.HasPrefix(string(k), string(workflow.Root.Hook("h"))) {
						delete(phases, k)
					}
				}
			}
			require.Equal(t, f.phases, got, "seed %d chunks %d\n%s", seed, chunkFrom, n.yaml())
			s := d.view.State
			require.Zero(t, s.InFlight)
			require.Equal(t, s.Total, s.Done)
			require.Zero(t, s.Held)
			if plain == nil {
				plain = &s
			}
			require.Equal(t, [3]int{plain.Total, plain.Done, plain.Succeeded}, [3]int{s.Total, s.Done, s.Succeeded}, "seed %d\n%s", seed, n.yaml())
			ran++
		}
	}
	require.Greater(t, ran, 100)
	require.Greater(t, reused, 100)
}

func TestAMemoizedRunWhoseOriginIsGoneRunsAll(t *testing.T) {
	t.Parallel()
	e := newEngine(t, head+`
  - name: main
    steps: [[{name: a, template: echo}]]
`)
	run := *e.view.Run
	run.From = &workflow.Origin{ID: "gone", Name: "gone"}
	e.view.Run = &run
	var missing *workflow.MissingError
	_, err := workflow.Advance(e.view, nil, e.now)
	require.ErrorAs(t, err, &missing)
	require.True(t, missing.From)
	e.view.From = map[workflow.Key]*workflow.Node{}
	e.run(inOrder)
	require.Equal(t, spec.WorkflowSucceeded, e.view.State.Phase)
	require.Equal(t, 1, e.view.State.Total)
}
