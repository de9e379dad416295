package kubeevents_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"argosy/cmd/argosy/internal/kubeevents"
	"argosy/coordinator"
	"argosy/worker"
	"argosy/worker/kube"
	"argosy/workflow"
	"argosy/workflow/spec"
)

var (
	run  = &workflow.Run{ID: "uid-1", Name: "wf", Namespace: "jobs"}
	step = workflow.Root.Step(0, "a")
	loop = workflow.Root.Task("many")
	all  = kubeevents.Config{Workflows: true, Nodes: true}
)

// rig is a stand-in of a cluster and what tells it.
type rig struct {
	*kubeevents.Events
	t        *testing.T
	client   *fake.Clientset
	registry *prometheus.Registry
	ended    chan error
	stop     context.CancelFunc
}

func newRig(t *testing.T, cfg kubeevents.Config, objects ...runtime.Object) *rig {
	r := &rig{t: t, client: fake.NewClientset(objects...), registry: prometheus.NewRegistry(), ended: make(chan error, 1)}
	r.Events = kubeevents.New(r.client, cfg, r.registry, slog.New(slog.DiscardHandler))
	return r
}

// start sends what comes.
func (r *rig) start() {
	take, stop := context.WithCancel(r.t.Context())
	r.stop = stop
	go func() { r.ended <- r.Run(take, r.t.Context()) }()
}

// sent are the events that there are when all is sent.
func (r *rig) sent() []corev1.Event {
	r.t.Helper()
	r.stop()
	require.NoError(r.t, <-r.ended)
	list, err := r.client.CoreV1().Events("jobs").List(r.t.Context(), metav1.ListOptions{})
	require.NoError(r.t, err)
	return list.Items
}

// count has events counted and not kept, which takes the stand-in long.
func (r *rig) count() *atomic.Int64 {
	made := &atomic.Int64{}
	r.client.PrependReactor("create", "events", func(clienttesting.Action) (bool, runtime.Object, error) {
		made.Add(1)
		return true, &corev1.Event{}, nil
	})
	return made
}

// counted is how many events had an outcome.
func (r *rig) counted(outcome string) float64 {
	r.t.Helper()
	families, err := r.registry.Gather()
	require.NoError(r.t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if m.GetLabel()[0].GetValue() == outcome {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

// words are what events say, in order.
func words(events []corev1.Event) []string {
	var out []string
	for _, e := range events {
		out = append(out, e.Type+" "+e.Reason+": "+e.Message)
	}
	slices.Sort(out)
	return out
}

func node(key workflow.Key, kind spec.NodeType, phase spec.NodePhase) *workflow.Node {
	n := &workflow.Node{Key: key, Type: kind, Phase: phase, Template: "leaf", Started: 1000}
	if n.Fulfilled() {
		n.Finished = 2000
	}
	return n
}

// turn is a turn of a run under way.
func turn(before []*workflow.Node, after ...*workflow.Node) *coordinator.Change {
	state := &workflow.State{Phase: spec.WorkflowRunning, Started: 500}
	c := &coordinator.Change{Run: run, Was: state, State: state, Nodes: after, Before: map[workflow.Key]*workflow.Node{}, Now: 3000}
	for _, n := range before {
		c.Before[n.Key] = n
	}
	return c
}

func TestEventsSayWhatArgosDo(t *testing.T) {
	t.Parallel()
	failed := node(step, spec.NodeTypePod, spec.NodeFailed)
	failed.Message = "main: Error (exit code 1)"
	stepsLoop := node(workflow.Root.Step(1, "many"), spec.NodeTypeTaskGroup, spec.NodeRunning)
	stepsLoop.Loop = &workflow.LoopState{}
	began := &coordinator.Change{Run: run, Was: &workflow.State{}, State: &workflow.State{Phase: spec.WorkflowRunning, Started: 500}}
	ends := func(phase spec.WorkflowPhase, message string, expired bool) *coordinator.Change {
		return &coordinator.Change{
			Run: run, Was: &workflow.State{Phase: spec.WorkflowRunning, Started: 500},
			State: &workflow.State{Phase: phase, Message: message, Started: 500, Finished: 900, Expired: expired}, Now: 900,
		}
	}
	for name, c := range map[string]struct {
		change *coordinator.Change
		want   []string
	}{
		"a run that begins":    {began, []string{"Normal WorkflowRunning: Workflow Running"}},
		"one that succeeds":    {ends(spec.WorkflowSucceeded, "", false), []string{"Normal WorkflowSucceeded: Workflow completed"}},
		"one that fails":       {ends(spec.WorkflowFailed, "child 'wf-1' failed", false), []string{"Warning WorkflowFailed: child 'wf-1' failed"}},
		"one that is in error": {ends(spec.WorkflowError, "no such template", false), []string{"Warning WorkflowFailed: no such template"}},
		"one that takes too long": {ends(spec.WorkflowFailed, "Step exceeded its deadline", true),
			[]string{"Warning WorkflowFailed: Step exceeded its deadline", "Warning WorkflowTimedOut: Workflow timed out"}},
		"a scope that starts": {turn(nil, node(workflow.Root, spec.NodeTypeSteps, spec.NodeRunning)), []string{"Normal WorkflowNodeRunning: Running node wf"}},
		"a scope that ends": {turn([]*workflow.Node{node(workflow.Root, spec.NodeTypeSteps, spec.NodeRunning)}, node(workflow.Root, spec.NodeTypeSteps, spec.NodeSucceeded)),
			[]string{"Normal WorkflowNodeSucceeded: Succeeded node wf"}},
		"a step that is sent": {turn(nil, node(step, spec.NodeTypePod, spec.NodePending)), nil},
		"a step that ends": {turn([]*workflow.Node{node(step, spec.NodeTypePod, spec.NodePending)}, failed),
			[]string{"Normal WorkflowNodeRunning: Running node wf[0].a: main: Error (exit code 1)", "Warning WorkflowNodeFailed: Failed node wf[0].a: main: Error (exit code 1)"}},
		"a node in error": {turn(nil, node(step, spec.NodeTypeSkipped, spec.NodeError)),
			[]string{"Normal WorkflowNodeRunning: Running node wf[0].a", "Warning WorkflowNodeError: Error node wf[0].a"}},
		"a step that is skipped":   {turn(nil, node(step, spec.NodeTypeSkipped, spec.NodeSkipped)), nil},
		"a node that only changed": {turn([]*workflow.Node{failed}, failed), nil},
		"what is no node":          {turn(nil, &workflow.Node{Key: "/.many/#items0"}, stepsLoop), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, all)
			r.start()
			r.Committed(c.change)
			r.Committed(c.change) // told twice, it is there once
			require.Equal(t, c.want, words(r.sent()))
		})
	}
}

func TestAnEventIsAboutItsWorkflow(t *testing.T) {
	t.Parallel()
	r := newRig(t, all)
	r.start()
	r.Committed(turn([]*workflow.Node{node(step, spec.NodeTypePod, spec.NodeRunning)}, node(step, spec.NodeTypePod, spec.NodeSucceeded)))
	events := r.sent()
	require.Len(t, events, 1)
	e := events[0]
	require.Equal(t, corev1.ObjectReference{APIVersion: "argoproj.io/v1alpha1", Kind: "Workflow", Namespace: "jobs", Name: "wf", UID: "uid-1"}, e.InvolvedObject)
	require.Equal(t, map[string]string{
		"workflows.argoproj.io/node-type": "Pod", "workflows.argoproj.io/node-name": "wf[0].a",
		"workflows.argoproj.io/node-id": step.ID("wf"), "workflows.argoproj.io/node-start-time": "1000000000",
	}, e.Annotations)
	require.EqualValues(t, 1, e.Count)
	require.Equal(t, int64(2000), e.FirstTimestamp.UnixMilli())
	require.True(t, strings.HasPrefix(e.Name, "wf."))
}

func TestSwitchesTurnEventsOff(t *testing.T) {
	t.Parallel()
	change := turn(nil, node(workflow.Root, spec.NodeTypeSteps, spec.NodeRunning))
	change.Was = &workflow.State{}
	for want, cfg := range map[string]kubeevents.Config{
		"": {},
		"Normal WorkflowRunning: Workflow Running":    {Workflows: true},
		"Normal WorkflowNodeRunning: Running node wf": {Nodes: true},
	} {
		r := newRig(t, cfg)
		r.start()
		r.Committed(change)
		require.Equal(t, want, strings.Join(words(r.sent()), "\n"))
	}
}

func TestEventsOfNodesMayBeTheirPods(t *testing.T) {
	t.Parallel()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "wf-leaf-x", Namespace: "jobs", UID: "pod-uid", Labels: map[string]string{
		"batch.kubernetes.io/job-name": kube.JobName(&worker.Step{Run: run, Key: step, Template: &spec.Template{Name: "leaf"}}),
	}}}
	r := newRig(t, kubeevents.Config{Nodes: true, AsPods: true}, pod)
	r.start()
	gone := workflow.Root.Step(0, "b")
	r.Committed(turn(nil, node(workflow.Root, spec.NodeTypeSteps, spec.NodeRunning), node(gone, spec.NodeTypePod, spec.NodeRunning), node(step, spec.NodeTypePod, spec.NodeRunning)))
	about := map[string]string{}
	for _, e := range r.sent() {
		about[e.Annotations["workflows.argoproj.io/node-name"]] = fmt.Sprint(e.InvolvedObject.Kind, " ", e.InvolvedObject.UID)
		if e.InvolvedObject.Kind == "Pod" {
			require.Equal(t, "wf", e.Annotations["workflows.argoproj.io/workflow-name"])
			require.Equal(t, "uid-1", e.Annotations["workflows.argoproj.io/workflow-uid"])
		}
	}
	require.Equal(t, map[string]string{"wf": "Workflow uid-1", "wf[0].a": "Pod pod-uid", "wf[0].b": "Workflow uid-1"}, about)
}

func TestOfALoopTheFirstItemsHaveEvents(t *testing.T) {
	t.Parallel()
	r := newRig(t, all)
	change := turn(nil)
	for i := range 3 * kubeevents.MaxItems {
		change.Nodes = append(change.Nodes, node(loop.Child(fmt.Sprintf("(%d:x)", i)), spec.NodeTypePod, spec.NodeSucceeded))
	}
	made := r.count()
	r.Committed(change)
	r.start()
	r.sent()
	require.EqualValues(t, 2*kubeevents.MaxItems, made.Load())
}

func TestATurnNeverWaitsForEvents(t *testing.T) {
	t.Parallel()
	r := newRig(t, all)
	change := turn(nil)
	for i := range 1500 {
		change.Nodes = append(change.Nodes, node(workflow.Root.Task(fmt.Sprint("t", i)), spec.NodeTypeSteps, spec.NodeRunning))
	}
	made := r.count()
	r.Committed(change) // though nobody sends
	require.EqualValues(t, 500, r.counted("dropped"))
	r.start()
	r.sent()
	require.EqualValues(t, 1000, made.Load())
	require.EqualValues(t, 1000, r.counted("sent"))
}

func TestWhatCannotBeSentIsTriedAndGivenUp(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err   error
		times int // that it is answered with
		tries int
		want  string
	}{
		"a server that is away for a moment": {errors.New("connection refused"), 2, 3, "sent"},
		"one that is away for long":          {errors.New("connection refused"), 9, 3, "failed"},
		"one that forbids it":                {apierrors.NewForbidden(schema.GroupResource{Resource: "events"}, "", nil), 9, 1, "failed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, all)
				tries := 0
				r.client.PrependReactor("create", "events", func(clienttesting.Action) (bool, runtime.Object, error) {
					tries++
					return tries <= c.times, nil, c.err
				})
				r.start()
				r.Committed(turn(nil, node(workflow.Root, spec.NodeTypeSteps, spec.NodeRunning)))
				time.Sleep(10 * time.Second) // of the bubble's clock
				synctest.Wait()
				require.Equal(t, c.tries, tries)
				require.EqualValues(t, 1, r.counted(c.want))
				r.sent()
			})
		})
	}
}
