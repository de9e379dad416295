package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"argosy/worker/handover"
	"argosy/workflow"
	"argosy/workflow/spec"
)

// keptSpans keeps what it is told.
type keptSpans struct {
	mu    sync.Mutex
	spans []*Span
	asked int // for parents
}

func (k *keptSpans) Span(s *Span) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.spans = append(k.spans, s)
}

func (k *keptSpans) Parent(run *workflow.Run, key workflow.Key, delivery int) map[string]string {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked++
	return map[string]string{"TRACEPARENT": fmt.Sprint(run.ID, key, delivery), "TRACESTATE": "s"}
}

// of is the delivery that a span tells of.
func (s *Span) of() Delivery { return Delivery{Run: s.Run.ID, Key: s.Key, N: s.Delivery} }

// kinds are what was told of, with how long it took in milliseconds.
func (k *keptSpans) kinds() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var out []string
	for _, s := range k.spans {
		out = append(out, fmt.Sprintf("%d %d %s", s.Kind, s.To.Sub(s.From).Milliseconds(), s.Failure))
	}
	return out
}

// stages is an executor that stages, runs for a while and collects, like worker/process.
func stages(ctx context.Context, s *Step) (workflow.Result, error) {
	files := anywhere{}
	if s.Before != nil {
		if err := s.Before(ctx, files); err != nil {
			return workflow.Result{}, err
		}
	}
	r := Exited(0, "")
	r.Started = workflow.At(time.Now())
	time.Sleep(50 * time.Millisecond)
	r.Finished = workflow.At(time.Now())
	if s.After != nil {
		if err := s.After(ctx, files, &r); err != nil {
			return r, err
		}
	}
	return r, nil
}

type anywhere struct{}

func (anywhere) HostPath(string) (string, error) { return "/dev/null", nil }

// slowStore takes a while for each artifact.
type slowStore struct {
	ArtifactStore
	broken bool
}

func (s slowStore) For(*Step) ArtifactStore { return s }

func (s slowStore) Load(context.Context, *spec.Artifact, string) error {
	time.Sleep(20 * time.Millisecond)
	return nil
}

func (s slowStore) Save(context.Context, *spec.Artifact, string) error {
	time.Sleep(30 * time.Millisecond)
	if s.broken {
		return errors.New("full")
	}
	return nil
}

func TestItIsToldWhatAStepsTimeGoesInto(t *testing.T) {
	t.Parallel()
	at := spec.ArtifactLocation{S3: &spec.S3Artifact{Key: "k"}}
	files := func(t *spec.Template) {
		t.Inputs.Artifacts = []spec.Artifact{{Name: "in", Path: "/in"}}
		t.Outputs.Artifacts = []spec.Artifact{{Name: "out", Path: "/out", ArtifactLocation: at}}
	}
	for name, c := range map[string]struct {
		template func(*spec.Template)
		broken   bool
		exec     ExecutorFunc
		want     []string
	}{
		"a command alone":    {nil, false, stages, []string{"3 50 ", "0 50 "}},
		"files":              {files, false, stages, []string{"5 20 ", "2 20 ", "6 30 ", "4 30 ", "3 50 ", "0 100 "}},
		"a store that fails": {files, true, stages, []string{"5 20 ", "2 20 ", "6 30 full", "4 30 saving output artifact out: full", "0 100 saving output artifact out: full"}},
		"a failure": {nil, false, func(context.Context, *Step) (workflow.Result, error) { return Exited(3, ""), nil },
			[]string{"3 0 ", "0 0 Failed: main: Error (exit code 3)"}},
		"a runner that tells": {nil, false, func(_ context.Context, s *Step) (workflow.Result, error) {
			s.Trace.Placed(time.Now().Add(time.Second))
			s.Trace.Runner(&handover.Outcome{Times: []int64{1000, 1005, 1025, 1030}})
			r := Exited(0, "")
			r.Started, r.Finished = 1000, 2000
			return r, nil
		}, []string{"1 1000 ", "2 5 ", "3 20 ", "4 5 ", "0 0 "}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				kept := &keptSpans{}
				r := &rig{queue: newFakeQueue(), specs: newFakeSpecs(), done: make(chan error, 1)}
				r.queue.node.Key = first.Key
				r.queue.node.Inputs = &workflow.Values{Artifacts: []spec.Artifact{{Name: "in", ArtifactLocation: at}}}
				if c.template != nil {
					c.template(&r.specs.wf.Spec.Templates[0])
				}
				r.run(t, Config{Tracer: kept}, Staging(c.exec, slowStore{broken: c.broken}))
				r.queue.deliveries <- first
				pass(time.Second)
				require.Equal(t, c.want, kept.kinds())
				for _, s := range kept.spans {
					require.Equal(t, first, s.of())
				}
				last := kept.spans[len(kept.spans)-1]
				require.Equal(t, []string{"main", "worker-1"}, []string{last.Template, last.Worker})
				r.finish(t)
			})
		})
	}
}

func TestOfAChunkOneSpanIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		kept := &keptSpans{}
		var envs []string
		r := startChunk(t, Config{Tracer: kept}, workflow.ChunkState{From: 2, To: 10}, 0, ExecutorFunc(func(_ context.Context, s *Step) (workflow.Result, error) {
			time.Sleep(time.Millisecond)
			envs = append(envs, s.Template.Container.Env[0].Value)
			return Exited(0, ""), nil
		}))
		d := Delivery{Run: first.Run, Key: r.queue.node.Key, N: 1}
		r.queue.deliveries <- d
		pass(time.Second)
		require.Equal(t, []string{"0 8 "}, kept.kinds())
		require.Equal(t, [2]int{2, 10}, kept.spans[0].Items)
		require.Equal(t, d, kept.spans[0].of())
		require.Len(t, envs, 8)
		require.Equal(t, 1, kept.asked)
		require.Len(t, slices.Compact(envs), 1, "items are below their chunk")
		r.finish(t)
	})
}

func TestACommandHasItsParentInItsEnvironment(t *testing.T) {
	t.Parallel()
	own := []corev1.EnvVar{{Name: "TRACEPARENT", Value: "mine"}}
	vars := map[string]string{"TRACEPARENT": "p", "TRACESTATE": "s"}
	want := []corev1.EnvVar{{Name: "TRACEPARENT", Value: "p"}, {Name: "TRACESTATE", Value: "s"}, {Name: "TRACEPARENT", Value: "mine"}}
	for name, c := range map[string]struct {
		template spec.Template
		env      func(*spec.Template) []corev1.EnvVar
	}{
		"container": {spec.Template{Container: &corev1.Container{Env: own}}, func(t *spec.Template) []corev1.EnvVar { return t.Container.Env }},
		"script":    {spec.Template{Script: &spec.ScriptTemplate{Container: corev1.Container{Env: own}}}, func(t *spec.Template) []corev1.EnvVar { return t.Script.Env }},
		"set": {spec.Template{ContainerSet: &spec.ContainerSetTemplate{Containers: []spec.ContainerNode{{Container: corev1.Container{Env: own}}}}},
			func(t *spec.Template) []corev1.EnvVar { return t.ContainerSet.Containers[0].Env }},
	} {
		require.Equal(t, want, c.env(withEnv(&c.template, vars)), name)
		require.Equal(t, own, c.env(&c.template), "%s: the template is others', too", name)
		require.Same(t, &c.template, withEnv(&c.template, nil))
	}
}

func TestWithoutATracerNothingIsMade(t *testing.T) { //nolint:paralleltest // it counts allocations
	w := &Worker{}
	s := &Step{Template: &spec.Template{}, Run: &workflow.Run{}}
	outcome := &handover.Outcome{Times: []int64{1, 2, 3}}
	store := slowStore{}
	allocated := testing.AllocsPerRun(100, func() {
		w.trace(t.Context(), s, Delivery{})
		_ = w.traceItems(t.Context(), s.Run, Delivery{})
		from := s.Trace.Time()
		s.Trace.Placed(from)
		s.Trace.Runner(outcome)
		s.Trace.Took(SpanStaging, from, s.Trace.Time(), nil)
		s.Trace.Moved(SpanLoad, SpanObject{}, from, nil)
		s.Trace.begins("id")
		w.ended(s, workflow.Result{}, nil)
	})
	require.Zero(t, allocated)
	require.Equal(t, ArtifactStore(store), s.Trace.store(store))
	require.True(t, s.Trace.Time().IsZero(), "not even the clock is read")
}
