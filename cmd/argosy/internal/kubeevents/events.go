package kubeevents

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"argosy/coordinator"
	"argosy/worker"
	"argosy/worker/kube"
	"argosy/workflow"
	"argosy/workflow/spec"
)

const (
	waiting = 1000 // events that may wait to be sent
	senders = 4
	tries   = 3
	// within bounds one try, and what is tried yet when the process ends.
	within = 5 * time.Second
	// complain is how often it is logged that events cannot be sent.
	complain = time.Minute
)

// Config says what is told.
type Config struct {
	Workflows bool // of runs
	Nodes     bool // of nodes
	AsPods    bool // of nodes as of their pods, while those are there
}

// Events is a coordinator.Observer that tells Kubernetes.
type Events struct {
	cfg    Config
	client kubernetes.Interface
	log    *slog.Logger
	queue  chan *event
	told   *prometheus.CounterVec
	pause  func(ctx context.Context, d time.Duration)

	mu         sync.Mutex
	complained time.Time
}

// New makes Events, which are sent while Run runs.
func New(client kubernetes.Interface, cfg Config, r prometheus.Registerer, log *slog.Logger) *Events {
	e := &Events{
		cfg: cfg, client: client, log: log, queue: make(chan *event, waiting), pause: pause,
		told: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "argosy_kubernetes_events_total", Help: "Events for Kubernetes, by outcome: sent, failed, dropped (too many waited).",
		}, []string{"outcome"}),
	}
	r.MustRegister(e.told)
	return e
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// Committed implements coordinator.Observer.
func (e *Events) Committed(c *coordinator.Change) {
	if e.cfg.Workflows {
		ofRun(c, e.leave)
	}
	if e.cfg.Nodes {
		ofNodes(c, e.leave)
	}
}

// leave leaves an event to be sent.
func (e *Events) leave(ev *event) {
	select {
	case e.queue <- ev:
	default:
		e.told.WithLabelValues("dropped").Inc()
	}
}

// Run sends what comes until take ends, and then for a while what is left.
func (e *Events) Run(take, work context.Context) error {
	last, cancel := context.WithCancel(work)
	defer cancel()
	context.AfterFunc(take, func() { time.AfterFunc(within, cancel) })
	var all sync.WaitGroup
	for range senders {
		all.Go(func() {
			for {
				select {
				case ev := <-e.queue:
					e.send(last, ev)
					continue
				case <-take.Done():
				}
				select {
				case ev := <-e.queue:
					e.send(last, ev)
				default:
					return
				}
			}
		})
	}
	all.Wait()
	return nil
}

// send makes an event, in a few tries.
func (e *Events) send(ctx context.Context, ev *event) {
	var err error
	for try := 1; try <= tries; try++ {
		if err = e.try(ctx, ev); err == nil {
			e.told.WithLabelValues("sent").Inc()
			return
		}
		if hopeless(err) || ctx.Err() != nil {
			break
		}
		e.pause(ctx, time.Duration(try)*250*time.Millisecond)
	}
	e.told.WithLabelValues("failed").Inc()
	e.mu.Lock()
	defer e.mu.Unlock()
	if time.Since(e.complained) >= complain {
		e.complained = time.Now()
		e.log.Warn("events cannot be sent to Kubernetes", "run", ev.run.Name, "namespace", ev.run.Namespace, "error", err)
	}
}

// hopeless says that another try would end alike.
func hopeless(err error) bool {
	return apierrors.IsForbidden(err) || apierrors.IsNotFound(err) || apierrors.IsInvalid(err) || apierrors.IsUnauthorized(err)
}

func (e *Events) try(ctx context.Context, ev *event) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	object := ev.object()
	if e.cfg.AsPods && ev.node != nil && ev.node.Type == spec.NodeTypePod {
		pod, err := e.podOf(ctx, ev.run, ev.node)
		if err != nil {
			return err
		}
		if pod != nil {
			ev.ofPod(object, pod)
		}
	}
	_, err := e.client.CoreV1().Events(object.Namespace).Create(ctx, object, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) { // it was told before, or the answer was lost
		return nil
	}
	if err != nil {
		return fmt.Errorf("making event %s: %w", object.Name, err)
	}
	return nil
}

// podOf finds the pod of a node; nil if there is none any more, or it is one that many steps share.
func (e *Events) podOf(ctx context.Context, run *workflow.Run, n *workflow.Node) (*corev1.Pod, error) {
	job := kube.JobName(&worker.Step{Run: run, Key: n.Key, Template: &spec.Template{Name: n.Template}})
	pods, err := e.client.CoreV1().Pods(run.Namespace).List(ctx, metav1.ListOptions{LabelSelector: "batch.kubernetes.io/job-name=" + job, Limit: 1})
	if err != nil {
		return nil, fmt.Errorf("finding the pod of Job %s: %w", job, err)
	}
	if len(pods.Items) == 0 {
		return nil, nil
	}
	return &pods.Items[0], nil
}

// ofPod has an event be about a pod.
func (ev *event) ofPod(object *corev1.Event, pod *corev1.Pod) {
	object.InvolvedObject = corev1.ObjectReference{
		APIVersion: "v1", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, ResourceVersion: pod.ResourceVersion,
	}
	object.Annotations[annotationWorkflowName] = ev.run.Name
	object.Annotations[annotationWorkflowUID] = string(types.UID(ev.run.ID))
}
