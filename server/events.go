package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"argosy/workflow/expr"
	"argosy/workflow/spec"
)

// labelEventBinding says which binding submitted a workflow.
const labelEventBinding = "workflows.argoproj.io/workflow-event-binding"

// Argo's defaults for events that wait, and for those that are worked on at once.
const (
	eventsWaiting = 16
	eventWorkers  = 4
)

// A binding that could not be served is tried again, as it may be Redis that is away.
const (
	eventTries      = 5
	eventFirstPause = 10 * time.Millisecond
)

// Event is something that happened outside, which WorkflowEventBindings may be about.
type Event struct {
	Namespace     string
	Discriminator string
	Payload       any
	Metadata      map[string]any
	By            User // who tells of it
}

// events is the queue between those who tell of events and those who look for bindings.
type events struct {
	mu     sync.RWMutex
	closed bool
	queue  chan Event
}

// Receive takes an event to look for bindings later: CodeUnavailable when too many wait.
func (s *Service) Receive(e Event) error {
	s.events.mu.RLock()
	defer s.events.mu.RUnlock()
	if s.events.closed {
		return errorf(CodeUnavailable, "the server is shutting down")
	}
	select {
	case s.events.queue <- e:
		s.metrics.events.WithLabelValues("received").Inc()
		return nil
	default:
		s.metrics.events.WithLabelValues("refused").Inc()
		return errorf(CodeUnavailable, "operation queue full")
	}
}

// ServeEvents submits what bindings want of events, until take ends and then for those that
// are left.
func (s *Service) ServeEvents(take, work context.Context) {
	var workers sync.WaitGroup
	for range eventWorkers {
		workers.Go(func() {
			for e := range s.events.queue {
				s.dispatch(work, e)
			}
		})
	}
	<-take.Done()
	s.events.mu.Lock()
	s.events.closed = true
	close(s.events.queue)
	s.events.mu.Unlock()
	workers.Wait()
}

// dispatch serves all bindings of the event's namespace.
func (s *Service) dispatch(ctx context.Context, e Event) {
	log := s.log.With("hop", "submit", "namespace", e.Namespace, "discriminator", e.Discriminator)
	bindings, err := s.objects.List(ctx, spec.KindWorkflowEventBinding, e.Namespace)
	if err != nil {
		s.metrics.events.WithLabelValues("failed").Inc()
		log.Error("an event is lost, since its bindings cannot be read", "error", err)
		return
	}
	ctx = withUser(ctx, e.By)
	for _, stored := range bindings {
		submit := &eventSubmit{service: s, event: e, id: uuid.NewString(), suffix: strconv.FormatInt(s.now().Unix(), 10)}
		outcome := "none"
		pause := eventFirstPause
		for try := 1; ; try++ {
			name, err := submit.from(ctx, stored)
			var answer *Error
			switch {
			case err == nil && name == "":
			case err == nil:
				outcome = "submitted"
				log.Info("submitted for an event", "binding", stored.Name, "name", name)
			case try < eventTries && (!errors.As(err, &answer) || answer.Code == CodeExhausted) && !errors.Is(err, errBinding):
				select {
				case <-ctx.Done():
				case <-time.After(pause):
				}
				pause *= 4
				continue
			default:
				outcome = "failed"
				log.Error("failed to dispatch event: "+err.Error(), "binding", stored.Name)
			}
			break
		}
		s.metrics.events.WithLabelValues(outcome).Inc()
	}
}

// errBinding says that a binding is wrong.
var errBinding = errors.New("the binding is wrong")

// bindingError has the message of its cause.
type bindingError struct{ error }

func (bindingError) Is(target error) bool { return target == errBinding }

func malformed(format string, args ...any) error { return bindingError{fmt.Errorf(format, args...)} }

// eventSubmit is what one binding wants of one event. Repeated, it submits no second workflow.
type eventSubmit struct {
	service    *Service
	event      Event
	id, suffix string
}

// from returns the name of the workflow that was submitted; empty: the event is none of the
// binding's.
func (t *eventSubmit) from(ctx context.Context, stored *Stored) (string, error) {
	var b spec.WorkflowEventBinding
	if err := json.Unmarshal(stored.JSON, &b); err != nil {
		return "", malformed("reading the binding: %w", err)
	}
	known := expr.Map{
		"namespace": t.event.Namespace, "discriminator": t.event.Discriminator, "metadata": t.event.Metadata, "payload": t.event.Payload,
	}
	matched, err := expr.EvalBool(b.Spec.Event.Selector, known)
	if err != nil {
		return "", malformed("failed to evaluate workflow template expression: %w", err)
	}
	if !matched || b.Spec.Submit == nil {
		return "", nil
	}
	wf, err := t.workflow(&b, known)
	if err != nil {
		return "", err
	}
	given := wf.Name
	for {
		if given == "" {
			wf.Name = wf.GenerateName + t.suffix
		}
		doc, err := json.Marshal(wf)
		if err != nil {
			return "", malformed("encoding the workflow: %w", err)
		}
		made, err := t.service.Submit(ctx, t.event.Namespace, doc, SubmitOptions{ID: t.id})
		var answer *Error
		if errors.As(err, &answer) && answer.Code == CodeExists && given == "" && !strings.Contains(t.suffix, "-") {
			t.suffix += "-" + t.id[:nameSuffix] // another event of the same second has the name
			continue
		}
		if err != nil {
			return "", fmt.Errorf("failed to create workflow: %w", err)
		}
		return made.Name, nil
	}
}

// workflow is what the binding submits.
func (t *eventSubmit) workflow(b *spec.WorkflowEventBinding, known expr.Scope) (*spec.Workflow, error) {
	submit := b.Spec.Submit
	ref := submit.WorkflowTemplateRef
	wf := &spec.Workflow{
		TypeMeta:   metav1.TypeMeta{APIVersion: spec.APIVersion, Kind: spec.KindWorkflow},
		ObjectMeta: metav1.ObjectMeta{Namespace: t.event.Namespace, GenerateName: ref.Name + "-", Labels: map[string]string{}, Annotations: map[string]string{}},
		Spec:       spec.WorkflowSpec{WorkflowTemplateRef: &ref},
	}
	text := func(what, expression string) (string, error) {
		value, err := expr.Eval(expression, known)
		if err != nil {
			return "", malformed("failed to evaluate workflow %s expression: %w", what, err)
		}
		s, ok := value.(string)
		if !ok {
			return "", malformed("workflow %s expression must evaluate to a string, not a %T", what, value)
		}
		return s, nil
	}
	var err error
	if submit.ObjectMeta.Name != "" {
		if wf.Name, err = text("name", submit.ObjectMeta.Name); err != nil {
			return nil, err
		}
	}
	if submit.ObjectMeta.GenerateName != "" {
		if wf.GenerateName, err = text("generateName", submit.ObjectMeta.GenerateName); err != nil {
			return nil, err
		}
	}
	for what, sets := range map[string][2]map[string]string{
		"label": {submit.ObjectMeta.Labels, wf.Labels}, "annotation": {submit.ObjectMeta.Annotations, wf.Annotations},
	} {
		for k, expression := range sets[0] {
			if sets[1][k], err = text(fmt.Sprintf("%s %q", what, k), expression); err != nil {
				return nil, err
			}
		}
	}
	wf.Labels[labelEventBinding] = b.Name
	if submit.Arguments == nil {
		return wf, nil
	}
	for _, p := range submit.Arguments.Parameters {
		value, err := eventParameter(&p, known)
		if err != nil {
			return nil, err
		}
		wf.Spec.Arguments.Parameters = append(wf.Spec.Arguments.Parameters, spec.Parameter{Name: p.Name, Value: spec.AnyStringPtr(value)})
	}
	return wf, nil
}

// eventParameter is a parameter's value, which is a part of the event.
func eventParameter(p *spec.Parameter, known expr.Scope) (string, error) {
	if p.Value != nil {
		return p.Value.String(), nil
	}
	if p.ValueFrom == nil {
		return "", malformed("malformed workflow template parameter %q: valueFrom is nil", p.Name)
	}
	if p.ValueFrom.Event == "" {
		return "", malformed("malformed workflow template parameter %q: valueFrom.event is empty", p.Name)
	}
	value, err := expr.Eval(p.ValueFrom.Event, known)
	switch {
	case err != nil && p.ValueFrom.Default != nil:
		return p.ValueFrom.Default.String(), nil
	case err != nil:
		return "", malformed("failed to evaluate workflow template parameter %q expression: %w", p.Name, err)
	}
	if s, ok := value.(string); ok {
		return s, nil
	}
	data, err := json.Marshal(value)
	if err != nil {
		return "", malformed("failed to convert result to JSON for parameter %q: %w", p.Name, err)
	}
	return string(data), nil
}

// event is POST /api/v1/events/NAMESPACE/DISCRIMINATOR, with the payload as body.
func (h *HTTP) event(r *http.Request) (any, error) {
	e := Event{Namespace: r.PathValue("namespace"), Discriminator: r.PathValue("discriminator"), Metadata: map[string]any{}}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, asError(err)
	}
	if len(strings.TrimSpace(string(body))) > 0 {
		if err := json.Unmarshal(body, &e.Payload); err != nil {
			return nil, errorf(CodeInvalid, "the payload is not JSON: %v", err)
		}
	}
	for name, values := range r.Header {
		// Others may hold credentials.
		if name := strings.ToLower(name); strings.HasPrefix(name, "x-") {
			all := make([]any, len(values))
			for i, v := range values {
				all[i] = v
			}
			e.Metadata[name] = all
		}
	}
	e.By, _ = userOf(r.Context())
	return struct{}{}, h.Service.Receive(e)
}
