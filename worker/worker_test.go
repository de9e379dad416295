package worker

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/util/intstr"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// pass lets time go by, and everything happen that is due.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestAStepsOutcomeIsReported(t *testing.T) {
	t.Parallel()
	three := 3
	for _, c := range []struct {
		name string
		exec ExecutorFunc
		want workflow.Result
	}{
		{"success", func(context.Context, *Step) (workflow.Result, error) { return Exited(0, ""), nil },
			workflow.Result{Phase: spec.NodeSucceeded}},
		{"failure", func(context.Context, *Step) (workflow.Result, error) { return Exited(3, ""), nil },
			workflow.Result{Phase: spec.NodeFailed, Message: "main: Error (exit code 3)", Outputs: &workflow.Values{ExitCode: &three}}},
		{"fault", func(context.Context, *Step) (workflow.Result, error) {
			return workflow.Result{}, Faultf(ClassImage, "no such image")
		}, workflow.Result{Phase: spec.NodeError, Message: "no such image", Class: ClassImage}},
		{"other error", func(context.Context, *Step) (workflow.Result, error) {
			return workflow.Result{}, errors.New("odd")
		}, workflow.Result{Phase: spec.NodeError, Message: "odd", Class: ClassExecutor}},
		{"panic", func(context.Context, *Step) (workflow.Result, error) { panic("bug") },
			workflow.Result{Phase: spec.NodeError, Message: "the executor panicked: bug", Class: ClassPanic}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := start(t, Config{}, c.exec)
				r.queue.deliveries <- first
				synctest.Wait()
				got := r.queue.reports[first]
				require.Equal(t, c.want.Phase, got.Phase)
				require.Equal(t, c.want.Message, got.Message)
				require.Equal(t, c.want.Class, got.Class)
				if c.want.Outputs != nil {
					require.Equal(t, c.want.Outputs, got.Outputs)
				}
				require.NotZero(t, got.Started)
				require.NotZero(t, got.Finished)
				r.finish(t)
				require.Empty(t, r.queue.released)
			})
		})
	}
}

func TestARefusedDeliveryIsDropped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{}, ExecutorFunc(func(context.Context, *Step) (workflow.Result, error) {
			t.Error("executed")
			return workflow.Result{}, nil
		}))
		r.queue.set(func() { r.queue.refuse = true })
		r.queue.deliveries <- first
		synctest.Wait()
		require.Equal(t, 1, r.queue.claims)
		require.Empty(t, r.queue.reports)
		r.finish(t)
	})
}

func TestLeasesAreRenewedTogetherEverySecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{}, ExecutorFunc(forever))
		second := Delivery{Run: "run-2", Key: workflow.Root, N: 4}
		r.queue.deliveries <- first
		r.queue.deliveries <- second
		pass(3500 * time.Millisecond)
		require.Equal(t, [][]Delivery{{first, second}, {first, second}, {first, second}}, r.queue.renewals)
		r.finish(t)
	})
}

func TestADeliveryHandedOutAgainIsWorkedOnOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		executed := 0
		r := start(t, Config{}, ExecutorFunc(func(context.Context, *Step) (workflow.Result, error) {
			executed++
			time.Sleep(10 * time.Second)
			return Exited(0, ""), nil
		}))
		r.queue.set(func() { r.queue.down = true }) // the first is being claimed, or so it seems
		r.queue.deliveries <- first
		synctest.Wait()
		r.queue.deliveries <- first
		pass(5 * time.Second)
		r.queue.set(func() { r.queue.down = false })
		pass(5 * time.Second)
		r.queue.deliveries <- first
		pass(20 * time.Second)
		require.Equal(t, 1, executed)
		require.Len(t, r.queue.reports, 1)
		r.queue.deliveries <- first // which the queue is to refuse
		synctest.Wait()
		require.Equal(t, 2, executed)
		r.finish(t)
	})
}

func TestACancelledLeaseEndsTheStepAsFailed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{}, ExecutorFunc(forever))
		r.queue.deliveries <- first
		r.queue.set(func() { r.queue.lease[first] = LeaseCancelled })
		pass(1500 * time.Millisecond)
		require.Equal(t, spec.NodeFailed, r.queue.reports[first].Phase)
		require.Equal(t, ErrStopped.Error(), r.queue.reports[first].Message)
		require.True(t, r.queue.reports[first].Stopped)
		r.finish(t)
	})
}

func TestALostLeaseEndsTheStepUnreported(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ended := false
		r := start(t, Config{}, ExecutorFunc(func(ctx context.Context, s *Step) (workflow.Result, error) {
			defer func() { ended = true }()
			return forever(ctx, s)
		}))
		r.queue.deliveries <- first
		r.queue.set(func() { r.queue.lease[first] = LeaseLost })
		pass(1500 * time.Millisecond)
		require.True(t, ended)
		require.Empty(t, r.queue.reports)
		r.finish(t)
		require.Empty(t, r.queue.released, "it is not ours to release")
	})
}

func TestAWorkerCutOffFromTheQueueGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{}, ExecutorFunc(func(ctx context.Context, s *Step) (workflow.Result, error) {
			select {
			case <-time.After(10 * time.Second):
				return Exited(0, ""), nil
			case <-ctx.Done():
				return workflow.Result{}, context.Cause(ctx)
			}
		}))
		r.queue.deliveries <- first
		synctest.Wait()
		r.queue.set(func() { r.queue.down = true })
		pass(30 * time.Second)
		require.Empty(t, r.queue.reports)
		r.queue.set(func() { r.queue.down = false })
		pass(5 * time.Second)
		require.Equal(t, spec.NodeSucceeded, r.queue.reports[first].Phase, "the step went on, its report waited")
		r.finish(t)
	})
}

func TestAReportIsDroppedOnceTheLeaseIsLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{}, ExecutorFunc(func(context.Context, *Step) (workflow.Result, error) { return Exited(0, ""), nil }))
		r.queue.set(func() { r.queue.lease[first] = LeaseLost })
		r.queue.deliveries <- first
		synctest.Wait()
		require.Empty(t, r.queue.reports)
		r.finish(t)
	})
}

func TestShutdownEndsStepsAndHandsThemBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{}, ExecutorFunc(forever))
		r.queue.deliveries <- first
		synctest.Wait()
		r.finish(t)
		require.Empty(t, r.queue.reports)
		require.Equal(t, []Delivery{first}, r.queue.released)
	})
}

func TestShutdownGivesStepsTheirDrainTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{Drain: 20 * time.Second}, ExecutorFunc(func(ctx context.Context, s *Step) (workflow.Result, error) {
			if s.Delivery == 1 {
				time.Sleep(15 * time.Second)
				return Exited(0, ""), nil
			}
			return forever(ctx, s)
		}))
		slow := Delivery{Run: "run-2", Key: workflow.Root, N: 2}
		r.queue.deliveries <- first
		r.queue.deliveries <- slow
		synctest.Wait()
		began := time.Now()
		r.finish(t)
		require.Equal(t, 20*time.Second, time.Since(began))
		require.Equal(t, spec.NodeSucceeded, r.queue.reports[first].Phase)
		require.Equal(t, []Delivery{slow}, r.queue.released)
		require.GreaterOrEqual(t, len(r.queue.renewals), 19, "leases are kept to the end")
	})
}

func TestADeadlineFailsTheStep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{queue: newFakeQueue(), specs: newFakeSpecs(), done: make(chan error, 1)}
		two := intstr.FromInt32(2)
		r.specs.wf.Spec.Templates[0].ActiveDeadlineSeconds = &two
		r.run(t, Config{}, ExecutorFunc(forever))
		r.queue.deliveries <- first
		began := time.Now()
		pass(3 * time.Second)
		got := r.queue.reports[first]
		require.Equal(t, spec.NodeFailed, got.Phase)
		require.Equal(t, DeadlineMessage, got.Message)
		require.Equal(t, 2*time.Second, got.Finished.Time().Sub(began).Round(time.Millisecond))
		r.finish(t)
	})
}

func TestPlansAreLoadedOncePerDigest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{}, ExecutorFunc(func(context.Context, *Step) (workflow.Result, error) { return Exited(0, ""), nil }))
		for n := range 5 {
			r.queue.deliveries <- Delivery{Run: "run-1", Key: workflow.Root.Step(n, "a"), N: 1}
			synctest.Wait()
		}
		require.Len(t, r.queue.reports, 5)
		require.Equal(t, 1, r.specs.loads)
		r.finish(t)
	})
}

func TestAnUnresolvableStepIsInvalid(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{}, ExecutorFunc(forever))
		r.queue.set(func() { r.queue.node.Template = "missing" })
		r.queue.deliveries <- first
		synctest.Wait()
		require.Equal(t, spec.NodeError, r.queue.reports[first].Phase)
		require.Equal(t, ClassInvalid, r.queue.reports[first].Class)
		r.finish(t)
	})
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	for _, cfg := range []Config{{}, {Name: "w", Lease: time.Second, Renew: time.Second}} {
		_, err := New(cfg, newFakeQueue(), newFakeSpecs(), ExecutorFunc(forever), nil)
		require.ErrorContains(t, err, "configuring the worker")
	}
}
