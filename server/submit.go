package server

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"
	"k8s.io/apimachinery/pkg/util/validation"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// Kubernetes' rules for the names it generates.
const (
	nameSuffix   = 5
	maxNameBase  = 63 - nameSuffix
	nameAlphabet = "bcdfghjklmnpqrstvwxz2456789"
	nameAttempts = 8
)

// SubmitOptions change what Submit does.
type SubmitOptions struct {
	// DryRun answers as if the workflow was accepted, and keeps nothing.
	DryRun bool
	// ID is the run's; it is submitted once, however often this is called. Empty is a new one.
	ID string
}

// Submit accepts a workflow, given as JSON or YAML, and returns it as it was stored.
func (s *Service) Submit(ctx context.Context, namespace string, workflowDoc []byte, o SubmitOptions) (*spec.Workflow, error) {
	a, err := s.admit(ctx, namespace, workflowDoc)
	var wf *spec.Workflow
	var run *workflow.Run
	if err == nil {
		wf, err = a.in(namespace)
	}
	if err == nil {
		run, err = s.newRun(ctx, a, wf)
	}
	if err == nil && o.ID != "" {
		run.ID = o.ID
	}
	if err != nil {
		outcome := "invalid"
		if asError(err).Code == CodeInternal { // what it refers to could not be read
			outcome = "error"
		}
		s.metrics.submits.WithLabelValues(outcome).Inc()
		s.log.Info("refused", "hop", "validate", "namespace", namespace, "err", err)
		return nil, err
	}
	s.log.Debug("valid", "hop", "validate", "namespace", namespace, "name", wf.Name, "generateName", wf.GenerateName)
	if !o.DryRun {
		if err := s.room.take(ctx); err != nil {
			s.metrics.submits.WithLabelValues("refused").Inc()
			s.log.Info("refused", "hop", "submit", "namespace", run.Namespace, "name", run.Name, "err", err)
			return nil, err
		}
		submit := s.store.Submit
		if o.ID != "" {
			submit = s.store.SubmitOnce
		}
		err := create(ctx, submit, run, wf, a.specJSON)
		if errors.Is(err, ErrExists) {
			s.metrics.submits.WithLabelValues("exists").Inc()
			return nil, errorf(CodeExists, "workflows.argoproj.io %q already exists", run.Name)
		}
		if err != nil {
			s.metrics.submits.WithLabelValues("error").Inc()
			return nil, fmt.Errorf("submitting %s/%s: %w", run.Namespace, run.Name, err)
		}
		s.metrics.submits.WithLabelValues("accepted").Inc()
		s.log.Info("accepted", "hop", "submit", "run", run.ID, "namespace", run.Namespace, "name", run.Name)
	}
	record := &Record{Run: run}
	generate := wf.GenerateName
	wf.ObjectMeta = metadata(record)
	wf.GenerateName = generate
	wf.Labels = run.Labels // the state's labels come with its first turn
	wf.Status = spec.WorkflowStatus{}
	return wf, nil
}

// Lint checks a workflow as Submit would, but for arguments that may come later, and
// returns it.
func (s *Service) Lint(ctx context.Context, namespace string, workflowDoc []byte) (*spec.Workflow, error) {
	wf, err := s.parse(ctx, namespace, workflowDoc, true)
	if err == nil {
		wf, err = (&admission{wf: wf}).in(namespace)
	}
	if err != nil {
		s.log.Info("refused", "hop", "validate", "namespace", namespace, "err", err)
		return nil, err
	}
	return wf, nil
}

// admission is a workflow that may run. It is shared and must not be changed.
type admission struct {
	wf   *spec.Workflow
	plan *workflow.Plan
	// specJSON is what every run of the same text shares: no metadata, no arguments.
	specJSON []byte
}

// Bounds of the admissions that are remembered.
const (
	maxAdmissions   = 256
	maxAdmissionDoc = 64 << 10
)

// admit reads a workflow and refuses one that could not run. The same text is not read
// twice: whoever submits many runs often submits one text many times. But what it refers to
// may change.
func (s *Service) admit(ctx context.Context, namespace string, doc []byte) (*admission, error) {
	digest := sha256.Sum256(doc)
	s.mu.Lock()
	a := s.admissions[digest]
	s.mu.Unlock()
	if a != nil {
		return a, nil
	}
	wf, err := s.parse(ctx, namespace, doc, false)
	if err != nil {
		return nil, err
	}
	shared := spec.Workflow{TypeMeta: wf.TypeMeta, Spec: wf.Spec}
	shared.Spec.Arguments = spec.Arguments{}
	shared.Status.StoredTemplates = wf.Status.StoredTemplates
	shared.Status.ArtifactRepositoryRef = wf.Status.ArtifactRepositoryRef
	if stored := wf.Status.StoredWorkflowSpec; stored != nil {
		joined := *stored
		joined.Arguments = spec.Arguments{}
		shared.Status.StoredWorkflowSpec = &joined
	}
	a = &admission{wf: wf}
	if a.specJSON, err = json.Marshal(&shared); err != nil {
		return nil, fmt.Errorf("encoding the spec: %w", err)
	}
	// The coordinator must not refuse what was accepted here.
	if a.plan, err = workflow.Compile(&shared); err != nil {
		return nil, errorf(CodeInvalid, "%v", err)
	}
	if len(doc) <= maxAdmissionDoc && !wf.Refers() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.admissions) >= maxAdmissions {
			clear(s.admissions)
		}
		s.admissions[digest] = a
	}
	return a, nil
}

// parse reads and checks a workflow, and freezes what it refers to.
func (s *Service) parse(ctx context.Context, namespace string, doc []byte, lint bool) (*spec.Workflow, error) {
	docs, err := spec.Parse("", withKind(doc, spec.APIVersion, spec.KindWorkflow))
	if err != nil {
		return nil, invalid(err)
	}
	if len(docs) != 1 {
		return nil, errorf(CodeInvalid, "expected one workflow, found %d objects", len(docs))
	}
	wf, ok := docs[0].Object.(*spec.Workflow)
	if !ok {
		return nil, errorf(CodeInvalid, "expected a %s, found a %s", spec.KindWorkflow, docs[0].Kind)
	}
	if err := s.restrict.Check(&docs[0]); err != nil {
		return nil, invalid(err)
	}
	if namespace == "" {
		namespace = wf.Namespace
	}
	find := s.finder(ctx, namespace)
	found, err := wf.UnderDefaults(s.defaults, find.spec)
	if err != nil {
		return nil, errorf(CodeInvalid, "%v", err)
	}
	_, err = Check(&docs[0], spec.Options{Lint: lint, Templates: found, Plugins: &s.plugins})
	if find.err != nil {
		return nil, find.err
	}
	if err != nil {
		return nil, invalid(err)
	}
	wf.Status = spec.WorkflowStatus{}
	err = spec.Freeze(wf, found)
	if find.err != nil {
		return nil, find.err
	}
	if ref := wf.Execution().ArtifactRepositoryRef; err == nil && ref != nil && !lint {
		m, readErr := s.configMap(ctx, namespace, workflow.RepositoriesIn(ref))
		if readErr != nil {
			return nil, readErr
		}
		if wf.Status.ArtifactRepositoryRef, err = workflow.Repository(ref, namespace, m, s.plugins.Drivers); err != nil {
			return nil, errorf(CodeInvalid, "%v", docs[0].Errorf("spec.artifactRepositoryRef", "%v", err))
		}
	}
	if err == nil && !lint {
		err = spec.UnknownPlugins(&docs[0], wf, &s.plugins) // now of what it refers to, too
	}
	if err == nil && !lint {
		err = spec.UnsupportedFrozen(wf)
	}
	if err != nil {
		return nil, errorf(CodeInvalid, "%v", err)
	}
	return wf, nil
}

// in returns a copy of the workflow in its namespace.
func (a *admission) in(namespace string) (*spec.Workflow, error) {
	wf := *a.wf
	if namespace == "" {
		namespace = wf.Namespace
	}
	if wf.Namespace != "" && wf.Namespace != namespace {
		return nil, errorf(CodeInvalid, "the namespace of the provided object does not match the namespace sent on the request")
	}
	wf.Namespace = namespace
	return &wf, checkNames(&wf)
}

// withKind completes a JSON object that says neither what it is nor of which version:
// the path of the request says it, and some clients leave it at that.
func withKind(doc []byte, apiVersion, kind string) []byte {
	var fields map[string]json.RawMessage
	if json.Unmarshal(doc, &fields) != nil || fields["kind"] != nil || fields["apiVersion"] != nil {
		return doc
	}
	head := fmt.Sprintf(`{"apiVersion":%q,"kind":%q`, apiVersion, kind)
	if len(fields) > 0 {
		head += ","
	}
	return append([]byte(head), bytes.TrimLeft(bytes.TrimLeft(doc, " \t\r\n")[1:], " \t\r\n")...)
}

// invalid tells everything that is wrong, a line each. There is no file, so a place is a
// field, with its line for those who sent more than one.
func invalid(err error) error {
	var list spec.ErrorList
	var one *spec.Error
	switch {
	case errors.As(err, &list):
	case errors.As(err, &one):
		list = spec.ErrorList{one}
	default:
		return err
	}
	lines := make([]string, len(list))
	for i, e := range list {
		fileless := *e
		fileless.File = "line"
		lines[i] = strings.Replace(fileless.Error(), "line:", "line ", 1)
	}
	return &Error{Code: CodeInvalid, Message: strings.Join(lines, "\n")}
}

// checkNames applies Kubernetes' rules for what Validate leaves open.
func checkNames(wf *spec.Workflow) error {
	var problems []string
	add := func(field, value string, found []string) {
		for _, p := range found {
			problems = append(problems, fmt.Sprintf("metadata.%s: %q: %s", field, value, p))
		}
	}
	if wf.Name == "" {
		add("generateName", wf.GenerateName, validation.IsDNS1123Subdomain(strings.TrimRight(wf.GenerateName, "-.")+"-x"))
	}
	add("namespace", wf.Namespace, validation.IsDNS1123Label(wf.Namespace))
	for _, k := range slices.Sorted(maps.Keys(wf.Labels)) {
		add("labels", k, validation.IsQualifiedName(k))
		add("labels", wf.Labels[k], validation.IsValidLabelValue(wf.Labels[k]))
	}
	if len(problems) > 0 {
		return &Error{Code: CodeInvalid, Message: strings.Join(problems, "\n")}
	}
	return nil
}

// newRun makes the part of a run that it shares with no other.
func (s *Service) newRun(ctx context.Context, a *admission, wf *spec.Workflow) (*workflow.Run, error) {
	name := wf.Name
	if name == "" {
		name = generateName(wf.GenerateName)
	}
	run := &workflow.Run{
		ID: uuid.NewString(), Name: name, Generated: wf.Name == "", Namespace: wf.Namespace, Created: workflow.At(s.now()),
		Labels: creates(ctx, wf.Labels), Annotations: wf.Annotations, Arguments: wf.Execution().Arguments,
	}
	if err := s.lookUp(ctx, run); err != nil {
		return nil, err
	}
	if err := a.plan.Label(run); err != nil {
		return nil, errorf(CodeInvalid, "%v", err)
	}
	s.annotate(ctx, run)
	s.expect(ctx, run)
	return run, nil
}

// annotate adds what the context of a submission says of it.
func (s *Service) annotate(ctx context.Context, run *workflow.Run) {
	if s.annotations == nil {
		return
	}
	if added := s.annotations(ctx); len(added) > 0 {
		maps.Copy(added, run.Annotations)
		run.Annotations = added
	}
}

// create stores the run; a generated name that is taken is generated anew.
func create(ctx context.Context, submit func(context.Context, *workflow.Run, []byte) error, run *workflow.Run, wf *spec.Workflow, specJSON []byte) error {
	for attempt := 1; ; attempt++ {
		err := submit(ctx, run, specJSON)
		if !errors.Is(err, ErrExists) || wf.Name != "" || attempt == nameAttempts {
			return err
		}
		run.Name = generateName(wf.GenerateName)
	}
}

func generateName(base string) string {
	if len(base) > maxNameBase {
		base = base[:maxNameBase]
	}
	suffix := make([]byte, 0, nameSuffix)
	var random [1]byte
	for len(suffix) < nameSuffix {
		rand.Read(random[:]) //nolint:errcheck // documented never to fail
		// Values beyond a multiple of the alphabet would favour its first letters.
		if n := int(random[0]); n < 256/len(nameAlphabet)*len(nameAlphabet) {
			suffix = append(suffix, nameAlphabet[n%len(nameAlphabet)])
		}
	}
	return base + string(suffix)
}
