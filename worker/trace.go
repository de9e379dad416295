package worker

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"argosy/worker/handover"
	"argosy/workflow"
	"argosy/workflow/spec"
)

// Tracer is told what the time of steps goes into, when it is over. Its methods do not block. The
// worker tells it of deliveries alone: of a chunk, but not of each of its items.
type Tracer interface {
	Span(s *Span)
	// Parent names what a step's command may call the parent of its own spans, as environment
	// variables; none for a trace that nobody wants.
	Parent(run *workflow.Run, key workflow.Key, delivery int) map[string]string
}

// Span is a piece of time of a delivery.
type Span struct {
	Run      *workflow.Run
	Key      workflow.Key
	Delivery int
	Kind     SpanKind
	From, To time.Time
	Failure  string // why it did not end well

	Template string     // of a SpanDelivery
	Worker   string     // of a SpanDelivery
	Items    [2]int     // of a SpanDelivery that is a chunk: the range of its items that ended
	Artifact SpanObject // of a SpanLoad or SpanSave
}

// SpanObject is an artifact that is brought or kept: its name, where the step has it, and, if
// several objects make one artifact, which of them it is.
type SpanObject struct{ Name, Path, Object string }

// SpanKind says what a Span's time went into.
type SpanKind int

// What a step's time goes into. Phases are parts of a delivery, transfers are parts of phases.
const (
	SpanDelivery   SpanKind = iota // all of it, from when the worker has it
	SpanPlacing                    // the platform: until its main container starts
	SpanStaging                    // before the command
	SpanRunning                    // the command
	SpanCollecting                 // after the command
	SpanLoad                       // one input artifact
	SpanSave                       // one output artifact
)

// Trace follows one step. Nil is fine, and follows nothing.
type Trace struct {
	to       Tracer
	run      *workflow.Run
	key      workflow.Key
	delivery int
	began    time.Time
	told     bool     // of the command's own time
	uploads  sync.Map // when outputs were begun that come in parts, by id
}

// Time is when something begins that is told of later; zero where nobody wants to know.
func (t *Trace) Time() (now time.Time) {
	if t != nil {
		now = time.Now()
	}
	return now
}

// Took tells of a phase.
func (t *Trace) Took(kind SpanKind, from, to time.Time, err error) {
	if t == nil || from.IsZero() || to.IsZero() {
		return
	}
	t.told = t.told || kind == SpanRunning
	t.to.Span(&Span{Run: t.run, Key: t.key, Delivery: t.delivery, Kind: kind, From: from, To: to, Failure: failure(err)})
}

// Placed tells that the step's command could start from a time on.
func (t *Trace) Placed(at time.Time) {
	if t != nil {
		t.Took(SpanPlacing, t.began, at, nil)
	}
}

// Runner tells of what the step's runner did.
func (t *Trace) Runner(o *handover.Outcome) {
	if t == nil || o == nil {
		return
	}
	kinds := [...]SpanKind{SpanStaging, SpanRunning, SpanCollecting}
	for i := 0; i < len(kinds) && i+1 < len(o.Times); i++ {
		t.Took(kinds[i], time.UnixMilli(o.Times[i]), time.UnixMilli(o.Times[i+1]), nil)
	}
}

// Moved tells of an artifact that was brought or kept from a time on until now.
func (t *Trace) Moved(kind SpanKind, o SpanObject, from time.Time, err error) {
	if t == nil || from.IsZero() {
		return
	}
	t.to.Span(&Span{Run: t.run, Key: t.key, Delivery: t.delivery, Kind: kind, From: from, To: time.Now(), Failure: failure(err), Artifact: o})
}

// begins notes that an output was begun which comes in parts.
func (t *Trace) begins(upload string) {
	if t != nil {
		t.uploads.Store(upload, time.Now())
	}
}

// beganAt is when one was begun; now, if that was elsewhere.
func (t *Trace) beganAt(upload string) time.Time {
	if t != nil {
		if at, ok := t.uploads.LoadAndDelete(upload); ok {
			return at.(time.Time)
		}
	}
	return t.Time()
}

func failure(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// trace follows a step of a delivery, if it is the delivery's own and not that of an item.
func (w *Worker) trace(ctx context.Context, s *Step, d Delivery) {
	t := w.cfg.Tracer
	if t == nil {
		return
	}
	parent, known := ctx.Value(parentKey{}).(map[string]string)
	if !known {
		parent = t.Parent(s.Run, d.Key, d.N)
	}
	s.Template = withEnv(s.Template, parent)
	if s.Key == d.Key {
		s.traced(t, w.cfg.Now())
	}
}

// parentKey is for the parent that all items of a chunk have.
type parentKey struct{}

// traceItems finds the parent of a chunk's items once.
func (w *Worker) traceItems(ctx context.Context, run *workflow.Run, d Delivery) context.Context {
	if w.cfg.Tracer == nil {
		return ctx
	}
	return context.WithValue(ctx, parentKey{}, w.cfg.Tracer.Parent(run, d.Key, d.N))
}

func (s *Step) traced(t Tracer, began time.Time) {
	s.Trace = &Trace{to: t, run: s.Run, key: s.Key, delivery: s.Delivery, began: began}
}

// ended tells of a step that has ended, and of its command where the executor did not.
func (w *Worker) ended(s *Step, r workflow.Result, err error) {
	if s.Trace == nil {
		return
	}
	if err == nil && !s.Trace.told && r.Started != 0 {
		s.Trace.Took(SpanRunning, r.Started.Time(), r.Finished.Time(), nil)
	}
	why := failure(err)
	if err == nil && r.Phase != spec.NodeSucceeded {
		why = string(r.Phase) + ": " + r.Message
	}
	w.cfg.Tracer.Span(&Span{
		Run: s.Run, Key: s.Key, Delivery: s.Delivery, Kind: SpanDelivery, From: s.Trace.began, To: w.cfg.Now(), Failure: why,
		Template: s.Template.Name, Worker: w.cfg.Name,
	})
}

// traced tells of the items of a chunk that have ended by now.
func (r *chunkRun) traced(err error) {
	t := r.w.cfg.Tracer
	if t == nil || r.began.IsZero() {
		return
	}
	s := &Span{
		Run: r.run, Key: r.d.Key, Delivery: r.d.N, Kind: SpanDelivery, From: r.began, To: r.w.cfg.Now(),
		Worker: r.w.cfg.Name, Items: [2]int{r.first, r.pack.To},
	}
	if !errors.Is(err, ErrStopped) {
		s.Failure = failure(err)
	}
	if r.loop != nil {
		s.Template = r.loop.Template
	}
	t.Span(s)
}

// withEnv adds variables to a template's containers, which their own go before.
func withEnv(t *spec.Template, vars map[string]string) *spec.Template {
	if len(vars) == 0 {
		return t
	}
	env := make([]corev1.EnvVar, 0, len(vars))
	for name, value := range vars {
		env = append(env, corev1.EnvVar{Name: name, Value: value})
	}
	slices.SortFunc(env, func(a, b corev1.EnvVar) int { return strings.Compare(a.Name, b.Name) })
	with := *t
	if t.Container != nil {
		c := *t.Container
		c.Env = slices.Concat(env, c.Env)
		with.Container = &c
	}
	if t.Script != nil {
		c := *t.Script
		c.Env = slices.Concat(env, c.Env)
		with.Script = &c
	}
	if t.ContainerSet != nil {
		set := *t.ContainerSet
		set.Containers = slices.Clone(set.Containers)
		for i := range set.Containers {
			set.Containers[i].Env = slices.Concat(env, set.Containers[i].Env)
		}
		with.ContainerSet = &set
	}
	return &with
}

// tracedStore tells of what it brings and keeps.
type tracedStore struct {
	ArtifactStore
	trace *Trace
}

func (t *Trace) store(s ArtifactStore) ArtifactStore {
	if t == nil {
		return s
	}
	return tracedStore{s, t}
}

// Load implements ArtifactStore.
func (s tracedStore) Load(ctx context.Context, a *spec.Artifact, path string) error {
	from := s.trace.Time()
	err := s.ArtifactStore.Load(ctx, a, path)
	s.trace.Moved(SpanLoad, SpanObject{Name: a.Name, Path: a.Path}, from, err)
	return err
}

// Save implements ArtifactStore.
func (s tracedStore) Save(ctx context.Context, a *spec.Artifact, path string) error {
	from := s.trace.Time()
	err := s.ArtifactStore.Save(ctx, a, path)
	s.trace.Moved(SpanSave, SpanObject{Name: a.Name, Path: a.Path}, from, err)
	return err
}
