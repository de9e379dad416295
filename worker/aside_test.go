package worker

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/workflow"
	"argosy/workflow/spec"
)

func TestAStepThatWaitsElsewhereGivesItsSlotBackAndKeepsItsLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{queue: newFakeQueue(), specs: newFakeSpecs(), done: make(chan error, 1)}
		r.queue.node = &workflow.Node{Type: spec.NodeTypePlugin, Template: "main"}
		r.runOn(t, Config{}, oneSlot{r.queue}, ExecutorFunc(func(_ context.Context, s *Step) (workflow.Result, error) {
			if s.Aside == nil {
				return Exited(0, ""), nil
			}
			require.Nil(t, s.Ready, "it is no daemon")
			for range 3 { // asks once, and again, as often as it takes
				time.Sleep(time.Second)
				s.Aside()
			}
			time.Sleep(time.Minute)
			return workflow.Result{Phase: spec.NodeSucceeded, Message: "at last"}, nil
		}))
		r.queue.deliveries <- first
		client := Delivery{Run: "run-1", Key: workflow.Root.Step(1, "b"), N: 1}
		pass(500 * time.Millisecond)
		sent := make(chan struct{})
		go func() { r.queue.deliveries <- client; close(sent) }()
		pass(250 * time.Millisecond)
		r.queue.set(func() {
			require.Equal(t, 1, r.queue.claims, "the slot is taken")
			r.queue.node = &workflow.Node{Type: spec.NodeTypePod, Template: "main"}
		})
		pass(time.Second)
		<-sent
		r.queue.set(func() { require.Equal(t, spec.NodeSucceeded, r.queue.reports[client].Phase) })
		pass(30 * time.Second)
		r.queue.set(func() { require.Equal(t, []Delivery{first}, r.queue.renewals[len(r.queue.renewals)-1]) })
		pass(time.Minute)
		r.queue.set(func() { require.Equal(t, "at last", r.queue.reports[first].Message) })
		r.finish(t)
	})
}
