package worker

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"argosy/worker/handover"
	"argosy/workflow/spec"
)

// errBadRequest marks what the runner should not have asked.
var errBadRequest = errors.New("bad request")

// Handler is the gateway's HTTP side; see handover for its paths.
func (g *Gateway) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET "+handover.PathPlan, g.authorized(g.servePlan))
	mux.Handle("GET "+handover.PathInput, g.authorized(g.serveInput))
	mux.Handle("PUT "+handover.PathOutput, g.authorized(g.takeOutput))
	mux.Handle("POST "+handover.PathParts, g.authorized(g.startParts))
	mux.Handle("GET "+handover.PathParts, g.authorized(g.servePart))
	mux.Handle("PUT "+handover.PathParts, g.authorized(g.completeParts))
	mux.Handle("DELETE "+handover.PathParts, g.authorized(g.abortParts))
	mux.Handle("PUT "+handover.PathOutcome, g.authorized(g.takeOutcome))
	mux.Handle("PUT "+handover.PathTells, g.authorized(g.takeProgress))
	mux.Handle("GET "+handover.PathWarm, http.HandlerFunc(g.servePod))
	return mux
}

type stepHandler func(w http.ResponseWriter, r *http.Request, o *opened) error

// authorized lets a request through to the step that its token is for, and words errors.
func (g *Gateway) authorized(next stepHandler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		grant, err := g.cfg.Tokens.Verify(token, time.Now())
		if err == nil && grant.Pod != "" {
			err = ErrBadToken
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		log := g.log.With("hop", "store", "run", grant.Run, "node", string(grant.Key), "delivery", grant.Delivery)
		out := &sentWriter{ResponseWriter: w}
		o, err := g.find(r.Context(), grant)
		if errors.Is(err, ErrSuperseded) && r.Method == http.MethodDelete {
			o, err = g.formerly(grant, err)
		}
		if err == nil {
			err = next(out, r, o)
		}
		if err != nil {
			refuse(log, out, r, err)
		}
	})
}

// refuse answers with an error; or, if the answer has begun, breaks it off, so that the
// runner does not take it for whole.
func refuse(log *slog.Logger, w *sentWriter, r *http.Request, err error) {
	status := http.StatusBadGateway
	switch {
	case errors.Is(err, ErrSuperseded):
		status = http.StatusConflict
	case errors.Is(err, errUnknownStep), errors.Is(err, errNotFenced), errors.Is(err, ErrStoreAway):
		status = http.StatusServiceUnavailable
	case errors.Is(err, errNoParts):
		status = http.StatusNotImplemented
	case errors.Is(err, ErrNoArtifact):
		status = http.StatusNotFound
	case errors.Is(err, errBadRequest):
		status = http.StatusBadRequest
	}
	log.Warn("a step pod was refused", "method", r.Method, "path", r.URL.Path, "status", status, "err", err)
	if w.sent {
		panic(http.ErrAbortHandler)
	}
	http.Error(w, err.Error(), status)
}

// sentWriter knows whether an answer has begun.
type sentWriter struct {
	http.ResponseWriter
	sent bool
}

func (w *sentWriter) Write(p []byte) (int, error) {
	w.sent = true
	return w.ResponseWriter.Write(p)
}

func (g *Gateway) servePlan(w http.ResponseWriter, r *http.Request, o *opened) error {
	plan := o.plan
	if plan == nil {
		var err error
		if plan, err = g.Plan(r.Context(), o.step); err != nil {
			return err
		}
	}
	w.Header().Set("Content-Type", "application/json")
	return answer(w, plan)
}

func (g *Gateway) serveInput(w http.ResponseWriter, r *http.Request, o *opened) error {
	a, object, err := requested(r, o.step.Template.Inputs.Artifacts)
	if err != nil {
		return err
	}
	from := o.step.Trace.Time()
	err = g.send(w, r, o, a, object)
	o.step.Trace.Moved(SpanLoad, SpanObject{a.Name, a.Path, object}, from, err)
	return err
}

// send answers with one object of an artifact.
func (g *Gateway) send(w http.ResponseWriter, r *http.Request, o *opened, a *spec.Artifact, object string) error {
	in, err := g.cfg.Store.For(o.step).Open(r.Context(), a, object)
	if err != nil {
		return fmt.Errorf("opening artifact %s: %w", a.Name, err)
	}
	defer in.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	if _, err := io.Copy(w, in); err != nil {
		return fmt.Errorf("sending artifact %s: %w", a.Name, err)
	}
	return nil
}

func (g *Gateway) takeOutput(w http.ResponseWriter, r *http.Request, o *opened) error {
	a, object, err := requested(r, o.step.Template.Outputs.Artifacts)
	if err != nil {
		return err
	}
	body := &fenced{r.Body, func() error { return g.fence(r.Context(), o) }}
	from := o.step.Trace.Time()
	err = g.cfg.Store.For(o.step).Put(r.Context(), a, object, body)
	o.step.Trace.Moved(SpanSave, SpanObject{a.Name, a.Path, object}, from, err)
	if err != nil {
		return fmt.Errorf("saving output artifact %s: %w", a.Name, err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (g *Gateway) takeOutcome(w http.ResponseWriter, r *http.Request, o *opened) error {
	if err := g.cfg.Store.For(o.step).Put(r.Context(), outcomeArtifact(o.step), "", http.MaxBytesReader(w, r.Body, handover.MaxOutcome)); err != nil {
		return fmt.Errorf("saving the step's outcome: %w", err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (g *Gateway) takeProgress(w http.ResponseWriter, r *http.Request, o *opened) error {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, handover.MaxProgress))
	if err != nil {
		return fmt.Errorf("%w: %w", errBadRequest, err)
	}
	p := spec.LastProgress(string(text))
	switch {
	case p == "":
		return fmt.Errorf("%w: %q is no progress", errBadRequest, text)
	case g.cfg.Tells == nil:
	default:
		if err := g.cfg.Tells(r.Context(), o.step.Run.ID, o.step.Key, p); errors.Is(err, ErrLeaseLost) {
			return fmt.Errorf("%w: %w", ErrSuperseded, err)
		} else if err != nil {
			return fmt.Errorf("telling the step's progress: %w", err)
		}
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// requested finds the artifact and object that a request names.
func requested(r *http.Request, artifacts []spec.Artifact) (*spec.Artifact, string, error) {
	name, object := r.PathValue("name"), r.URL.Query().Get("object")
	if object != "" && !fs.ValidPath(object) {
		return nil, "", fmt.Errorf("%w: object %q", errBadRequest, object)
	}
	for i := range artifacts {
		if artifacts[i].Name == name {
			return &artifacts[i], object, nil
		}
	}
	return nil, "", fmt.Errorf("%w: the step has no artifact %q there", errBadRequest, name)
}

func decodeOutcome(data []byte) (*handover.Outcome, error) {
	o := &handover.Outcome{}
	if err := json.Unmarshal(data, o); err != nil {
		return nil, fmt.Errorf("decoding the step's outcome: %w", err)
	}
	return o, nil
}
