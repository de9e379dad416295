package worker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// fakeQueue is a queue in memory that the test plays the other side of.
type fakeQueue struct {
	deliveries chan Delivery

	mu       sync.Mutex
	node     *workflow.Node
	refuse   bool
	down     bool // nothing reaches the queue
	lease    map[Delivery]Lease
	reports  map[Delivery]workflow.Result
	ready    map[Delivery]workflow.Ready
	waits    []string
	tells    []spec.Progress
	released []Delivery
	renewals [][]Delivery
	claims   int
	chunk    *Chunk
	packs    []*workflow.Pack
}

var errDown = errors.New("connection refused")

func newFakeQueue() *fakeQueue {
	return &fakeQueue{
		deliveries: make(chan Delivery),
		node:       &workflow.Node{Type: spec.NodeTypePod, Phase: spec.NodePending, Template: "main"},
		lease:      map[Delivery]Lease{},
		reports:    map[Delivery]workflow.Result{},
		ready:      map[Delivery]workflow.Ready{},
	}
}

func (q *fakeQueue) Serve(ctx context.Context, handle func(Delivery)) error {
	var running sync.WaitGroup
	defer running.Wait()
	for {
		select {
		case <-ctx.Done():
			return nil
		case d := <-q.deliveries:
			running.Go(func() { handle(d) })
		}
	}
}

func (q *fakeQueue) Claim(_ context.Context, d Delivery, _ string, _ time.Duration) (*Claimed, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.claims++
	switch {
	case q.down:
		return nil, errDown
	case q.refuse:
		return nil, ErrRefused
	}
	return &Claimed{Run: &workflow.Run{ID: d.Run, Name: "wf", Namespace: "default"}, Digest: "digest", Node: q.node}, nil
}

func (q *fakeQueue) Renew(_ context.Context, _ string, ds []Delivery, _ time.Duration) ([]Lease, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.down {
		return nil, errDown
	}
	q.renewals = append(q.renewals, ds)
	states := make([]Lease, len(ds))
	for i, d := range ds {
		states[i] = q.lease[d]
		if _, told := q.ready[d]; told && states[i] == LeaseHeld {
			states[i] = LeaseServes
		}
	}
	return states, nil
}

func (q *fakeQueue) Report(_ context.Context, d Delivery, r workflow.Result) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.down:
		return errDown
	case q.lease[d] == LeaseLost:
		return ErrLeaseLost
	}
	q.reports[d] = r
	return nil
}

func (q *fakeQueue) Ready(_ context.Context, d Delivery, r workflow.Ready) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.down:
		return errDown
	case q.lease[d] == LeaseLost:
		return ErrLeaseLost
	}
	q.ready[d] = r
	return nil
}

func (q *fakeQueue) Tells(_ context.Context, _ string, _ workflow.Key, p spec.Progress) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.down {
		return errDown
	}
	q.tells = append(q.tells, p)
	return nil
}

func (q *fakeQueue) Waits(_ context.Context, d Delivery, message string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.down {
		return errDown
	}
	q.waits = append(q.waits, message)
	return nil
}

func (q *fakeQueue) Chunk(context.Context, Delivery, *workflow.ChunkState, string) (*Chunk, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.down {
		return nil, errDown
	}
	return q.chunk, nil
}

func (q *fakeQueue) ReportItems(_ context.Context, d Delivery, p *workflow.Pack) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.down:
		return errDown
	case q.lease[d] == LeaseLost:
		return ErrLeaseLost
	}
	q.packs = append(q.packs, p)
	return nil
}

func (q *fakeQueue) Release(_ context.Context, d Delivery, _ string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.released = append(q.released, d)
	return nil
}

// set changes the queue under its lock.
func (q *fakeQueue) set(f func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	f()
}

// told is a copy of what was said to be ready.
func (q *fakeQueue) told() map[Delivery]workflow.Ready {
	q.mu.Lock()
	defer q.mu.Unlock()
	return maps.Clone(q.ready)
}

type fakeSpecs struct {
	mu    sync.Mutex
	loads int
	wf    spec.Workflow
}

func newFakeSpecs() *fakeSpecs {
	deadline := spec.Template{
		Name:      "main",
		Container: &corev1.Container{Image: "busybox", Command: []string{"true"}},
	}
	return &fakeSpecs{wf: spec.Workflow{Spec: spec.WorkflowSpec{Entrypoint: "main", Templates: []spec.Template{deadline}}}}
}

func (s *fakeSpecs) Spec(context.Context, string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loads++
	return json.Marshal(&s.wf)
}

// rig is a worker on a fake queue.
type rig struct {
	queue *fakeQueue
	specs *fakeSpecs
	log   bytes.Buffer
	stop  context.CancelFunc
	done  chan error
}

func start(t *testing.T, cfg Config, exec Executor) *rig {
	t.Helper()
	r := &rig{queue: newFakeQueue(), specs: newFakeSpecs(), done: make(chan error, 1)}
	return r.run(t, cfg, exec)
}

func (r *rig) run(t *testing.T, cfg Config, exec Executor) *rig {
	t.Helper()
	return r.runOn(t, cfg, r.queue, exec)
}

func (r *rig) runOn(t *testing.T, cfg Config, q Queue, exec Executor) *rig {
	t.Helper()
	cfg.Name = "worker-1"
	log := slog.New(slog.NewTextHandler(&r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w, err := New(cfg, q, r.specs, Decorate(exec, Decoration{Deadlines: true}, log), log)
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	r.stop = stop
	go func() { r.done <- w.Run(ctx) }()
	return r
}

// finish stops the worker and waits for its end.
func (r *rig) finish(t *testing.T) {
	t.Helper()
	r.stop()
	require.NoError(t, <-r.done)
}

var first = Delivery{Run: "run-1", Key: workflow.Root.Step(0, "a"), N: 1}

// forever runs until its context ends.
func forever(ctx context.Context, _ *Step) (workflow.Result, error) {
	<-ctx.Done()
	return workflow.Result{}, context.Cause(ctx)
}
