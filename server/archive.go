package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	operator "k8s.io/apimachinery/pkg/selection"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// Archive is where runs are that were archived. Records that it returns are Archived. It reports
// ErrNotFound.
type Archive interface {
	// Page is Store.Page for archived runs; with live also for those of the Store, each once.
	Page(ctx context.Context, namespace, after string, limit int, live bool, keep func(*Record) bool) (records []*Record, next string, err error)
	// Named returns the runs that have or had a name, newest first.
	Named(ctx context.Context, namespace, name string) ([]*Record, error)
	// Row returns a run as lists show it. An empty namespace is any.
	Row(ctx context.Context, namespace, id string) (*Record, error)
	// Open reads a run, with its nodes if they have at most so many records.
	Open(ctx context.Context, namespace, id string, most int) (*Record, error)
	Delete(ctx context.Context, namespace, id string) error
	// Restore brings a run back to the Store, as it had ended. ErrExists: it is there, or another
	// that has its name.
	Restore(ctx context.Context, namespace, id string) error
	// Labels returns the values of each label that archived runs have.
	Labels(ctx context.Context) (map[string][]string, error)
}

func isNotFound(err error) bool {
	var e *Error
	return errors.Is(err, ErrNotFound) || errors.As(err, &e) && e.Code == CodeNotFound
}

// anywhere reads a run by its name, from the archive if it is not in the store. A uid that is given
// must be the run's.
func (s *Service) anywhere(ctx context.Context, namespace, name, uid string) (*Record, error) {
	r, err := s.load(ctx, namespace, name)
	if err == nil && uid != "" && uid != r.Run.ID {
		err = notFound(name)
	}
	if s.archive == nil || name == Latest || !isNotFound(err) {
		return r, err
	}
	r, archived := s.archivedRun(ctx, namespace, name, uid)
	if isNotFound(archived) {
		return nil, err
	}
	return r, archived
}

// archivedRun opens the archived run with a uid, or else the newest that had a name.
func (s *Service) archivedRun(ctx context.Context, namespace, name, uid string) (*Record, error) {
	row, err := s.row(ctx, namespace, name, uid)
	if err != nil {
		return nil, err
	}
	r, err := s.archive.Open(ctx, row.Run.Namespace, row.Run.ID, maxShown)
	if errors.Is(err, ErrNotFound) {
		return nil, errArchive() // deleted since
	}
	if err != nil {
		return nil, fmt.Errorf("reading archived run %s: %w", row.Run.ID, err)
	}
	return r, nil
}

func errArchive() *Error { return errorf(CodeNotFound, "not found") }

// row finds an archived run.
func (s *Service) row(ctx context.Context, namespace, name, uid string) (*Record, error) {
	if s.archive == nil {
		return nil, errArchive()
	}
	if uid == "" {
		found, err := s.archive.Named(ctx, namespace, name)
		if err == nil && len(found) == 0 {
			err = errArchive()
		}
		if err != nil {
			return nil, err
		}
		return found[0], nil
	}
	r, err := s.archive.Row(ctx, namespace, uid)
	if errors.Is(err, ErrNotFound) || err == nil && name != "" && r.Run.Name != name {
		return nil, errArchive()
	}
	return r, err
}

// summary is what a list shows of an archived run.
func summary(r *Record) *spec.Workflow {
	v := &workflow.View{Run: r.Run, Plan: &workflow.Plan{Source: &spec.Workflow{}}, State: r.State, Complete: true}
	wf := &spec.Workflow{
		TypeMeta:   metav1.TypeMeta{APIVersion: spec.APIVersion, Kind: spec.KindWorkflow},
		ObjectMeta: metadata(r),
		Status:     workflow.Status(v, nil),
	}
	wf.Spec.Arguments, wf.Status.Nodes = r.Run.Arguments, nil
	return wf
}

// ListArchived returns archived runs of a namespace, or of all if it is empty, newest first.
func (s *Service) ListArchived(ctx context.Context, namespace string, o ListOptions) (*spec.WorkflowList, error) {
	if s.archive == nil {
		return s.list(ctx, namespace, o, nobody, func(context.Context, string, string) ([]*Record, error) { return nil, nil })
	}
	return s.list(ctx, namespace, o, func(ctx context.Context, ns, after string, limit int, keep func(*Record) bool) ([]*Record, string, error) {
		return s.archive.Page(ctx, ns, after, limit, false, keep)
	}, s.archive.Named)
}

func nobody(context.Context, string, string, int, func(*Record) bool) ([]*Record, string, error) {
	return nil, "", nil
}

// GetArchived returns an archived run.
func (s *Service) GetArchived(ctx context.Context, namespace, name, uid string) (*spec.Workflow, error) {
	r, err := s.archivedRun(ctx, namespace, name, uid)
	if err != nil {
		return nil, err
	}
	return s.object(ctx, r)
}

// DeleteArchived removes a run from the archive.
func (s *Service) DeleteArchived(ctx context.Context, namespace, uid string) error {
	r, err := s.row(ctx, namespace, "", uid)
	if err != nil {
		return err
	}
	if err := s.archive.Delete(ctx, r.Run.Namespace, uid); err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("deleting archived run %s: %w", uid, err)
	}
	s.log.Info("deleted from the archive", "hop", "store", "run", uid, "namespace", r.Run.Namespace, "name", r.Run.Name)
	return nil
}

// labelList is Argo's answer for keys and values of labels.
type labelList struct {
	Items []string `json:"items"`
}

// archivedLabels lists the labels of archived runs, or the values of one.
func (s *Service) archivedLabels(ctx context.Context, of string) (*labelList, error) {
	all := map[string][]string{}
	if s.archive != nil {
		var err error
		if all, err = s.archive.Labels(ctx); err != nil {
			return nil, err
		}
	}
	list := &labelList{Items: []string{}}
	if of != "" {
		list.Items = append(list.Items, all[of]...)
	} else {
		for label := range all {
			list.Items = append(list.Items, label)
		}
	}
	slices.Sort(list.Items)
	return list, nil
}

// logArtifact is the artifact that a step's log was kept as.
const logArtifact = "main-logs"

func keptLog(n *workflow.Node) *spec.Artifact {
	if a, ok := n.Outputs.Artifact(logArtifact); ok {
		return a
	}
	return nil
}

// keptChunk is how much of a kept log is read at once.
const keptChunk = 64 << 10

// readKept reads on in a log that was kept. When its lines were written is not known.
func (p *podLog) readKept(ctx context.Context) ([]Chunk, error) {
	s := p.f.s
	if p.kept == nil || s.artifacts == nil {
		return nil, nil
	}
	if p.from == nil {
		plan, err := s.plan(ctx, p.f.last)
		if err != nil {
			return nil, err
		}
		of := &ArtifactsOf{Run: p.f.last.Run, Repository: plan.Repository()}
		p.from, err = s.artifacts.Open(ctx, of, p.kept, "")
		if errors.Is(err, ErrNotFound) {
			p.kept = nil
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
	}
	data := make([]byte, keptChunk)
	n, err := io.ReadFull(p.from, data)
	if n == 0 || err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		closed := p.from.Close()
		p.kept, p.from = nil, nil
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return nil, errors.Join(err, closed)
	}
	return []Chunk{{At: p.started.Time(), Data: data[:n]}}, nil
}

// archiveRoutes are Argo's paths for archived runs.
func (h *HTTP) archiveRoutes() map[string]func(*http.Request) (any, error) {
	return map[string]func(*http.Request) (any, error){
		"GET /api/v1/archived-workflows":                h.listArchived,
		"GET /api/v1/archived-workflows/{uid}":          h.getArchived,
		"DELETE /api/v1/archived-workflows/{uid}":       h.deleteArchived,
		"PUT /api/v1/archived-workflows/{uid}/retry":    h.retryArchived,
		"PUT /api/v1/archived-workflows/{uid}/resubmit": h.resubmitArchived,
		"GET /api/v1/archived-workflows-label-keys":     func(r *http.Request) (any, error) { return h.Service.archivedLabels(r.Context(), "") },
		"GET /api/v1/archived-workflows-label-values":   h.archivedLabelValues,
	}
}

func (h *HTTP) listArchived(r *http.Request) (any, error) {
	q := r.URL.Query()
	o, namespace, err := archivedOptions(q)
	if err != nil {
		return nil, err
	}
	return h.Service.ListArchived(r.Context(), namespace, o)
}

// archivedOptions reads the query of a list of archived runs. What Argo's clients select by time are
// fields of a kind of its own.
func archivedOptions(q url.Values) (o ListOptions, namespace string, err error) {
	namespace = q.Get("namespace")
	if o, err = listOptions(q); err != nil {
		return o, "", err
	}
	var rest []string
	for f := range strings.SplitSeq(o.FieldSelector, ",") {
		after, isAfter := strings.CutPrefix(f, "spec.startedAt>")
		before, isBefore := strings.CutPrefix(f, "spec.startedAt<")
		within, isWithin := strings.CutPrefix(f, "metadata.namespace=")
		within = strings.TrimPrefix(within, "=")
		switch {
		case isAfter:
			o.StartedAfter, err = time.Parse(time.RFC3339, after)
		case isBefore:
			o.StartedBefore, err = time.Parse(time.RFC3339, before)
		case isWithin && namespace != "" && namespace != within:
			return o, "", errorf(CodeInvalid, "'namespace' query param (%q) and fieldselector 'metadata.namespace' (%q) are both specified and contradict each other", namespace, within)
		case isWithin:
			namespace = within
		case strings.HasPrefix(f, "ext.showRemainingItemCount"):
		default:
			rest = append(rest, f)
		}
		if err != nil {
			return o, "", errorf(CodeInvalid, "listOptions.fieldSelector: %q has no RFC 3339 time", f)
		}
	}
	o.FieldSelector = strings.Join(rest, ",")
	if prefix := q.Get("namePrefix"); prefix != "" {
		if o.NameFilter == "" {
			o.NameFilter = "Prefix"
		}
		o.FieldSelector = strings.Trim(o.FieldSelector+",metadata.name="+prefix, ",")
	}
	return o, namespace, nil
}

func (h *HTTP) getArchived(r *http.Request) (any, error) {
	q := r.URL.Query()
	return h.Service.GetArchived(r.Context(), q.Get("namespace"), q.Get("name"), r.PathValue("uid"))
}

func (h *HTTP) deleteArchived(r *http.Request) (any, error) {
	return struct{}{}, h.Service.DeleteArchived(r.Context(), r.URL.Query().Get("namespace"), r.PathValue("uid"))
}

func (h *HTTP) archivedLabelValues(r *http.Request) (any, error) {
	selector := r.URL.Query().Get("listOptions.labelSelector")
	wanted, err := labels.ParseToRequirements(selector)
	if err != nil {
		return nil, errorf(CodeInvalid, "unable to parse the label selector %q: %v", selector, err)
	}
	if len(wanted) != 1 {
		return nil, errorf(CodeInvalid, "only allow 1 labelRequirement, found %v", strconv.Itoa(len(wanted)))
	}
	if op := wanted[0].Operator(); op != operator.Exists {
		return nil, errorf(CodeInvalid, "operation %v is not supported", op)
	}
	return h.Service.archivedLabels(r.Context(), wanted[0].Key())
}
