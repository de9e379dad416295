package worker

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"argosy/worker/handover"
)

// partTTL is how long the address of a part may be used.
const partTTL = 10 * time.Minute

var (
	// errNoParts says that an output has to come through the gateway.
	errNoParts = errors.New("the artifact's store takes no parts: send it through the gateway")
	// errNotFenced says that the queue cannot be asked now whether a step still counts.
	errNotFenced = errors.New("whether the step still counts cannot be told now")
)

// fence says whether what a step's pod has sent may become what is stored: ErrSuperseded if
// another delivery's pod may have taken its place. It asks those who know, and not this worker,
// which may have been cut off for long.
func (g *Gateway) fence(ctx context.Context, o *opened) error {
	now, err := g.find(ctx, o.grant)
	if err != nil || now.step.Counts == nil { // resolved just now, or nobody else can have it
		return err
	}
	switch err := now.step.Counts(ctx); {
	case err == nil:
		return nil
	case !errors.Is(err, ErrSuperseded):
		return fmt.Errorf("%w: %w", errNotFenced, err)
	case g.cfg.Resolve == nil:
		return err
	}
	// Another worker has it, which may have taken over this very pod.
	_, err = g.resolve(ctx, o.grant)
	return err
}

// fenced is a stream that ends well only if the step still counts then. What reads it keeps
// nothing of one that does not.
type fenced struct {
	io.Reader
	fence func() error
}

func (f *fenced) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		if refused := f.fence(); refused != nil {
			return n, refused
		}
	}
	return n, err
}

// parts finds where the parts of an output go that a request names.
func (g *Gateway) parts(r *http.Request, o *opened) (Parts, string, error) {
	a, object, err := requested(r, o.step.Template.Outputs.Artifacts)
	if err != nil {
		return nil, "", err
	}
	parts, err := g.cfg.Store.For(o.step).Parts(r.Context(), a, object)
	if err == nil && parts == nil {
		err = errNoParts
	}
	if err != nil {
		return nil, "", fmt.Errorf("finding where output artifact %s goes: %w", a.Name, err)
	}
	id := r.URL.Query().Get("id")
	if id == "" && r.Method != http.MethodPost {
		return nil, "", fmt.Errorf("%w: no upload is named", errBadRequest)
	}
	return parts, id, nil
}

func (g *Gateway) startParts(w http.ResponseWriter, r *http.Request, o *opened) error {
	parts, _, err := g.parts(r, o)
	if err != nil {
		return err
	}
	id, err := parts.Start(r.Context())
	if err == nil && id == "" {
		err = errNoParts
	}
	if err != nil {
		return fmt.Errorf("starting an output: %w", err)
	}
	o.step.Trace.begins(id)
	return answer(w, handover.Upload{ID: id})
}

func (g *Gateway) servePart(w http.ResponseWriter, r *http.Request, o *opened) error {
	parts, id, err := g.parts(r, o)
	if err != nil {
		return err
	}
	query := r.URL.Query()
	number, err := strconv.Atoi(query.Get("number"))
	if err != nil || number < 1 || number > handover.MaxParts {
		return fmt.Errorf("%w: part %q", errBadRequest, query.Get("number"))
	}
	sum, err := base64.StdEncoding.DecodeString(query.Get("md5"))
	if err != nil || len(sum) != 16 {
		return fmt.Errorf("%w: %q is not an MD5 sum", errBadRequest, query.Get("md5"))
	}
	url, err := parts.Presign(r.Context(), id, number, sum, partTTL)
	if err != nil {
		return err
	}
	return answer(w, handover.Address{URL: url})
}

// completeParts makes an output of what the pod has sent to the store, if the step still counts.
func (g *Gateway) completeParts(w http.ResponseWriter, r *http.Request, o *opened) error {
	parts, id, err := g.parts(r, o)
	if err != nil {
		return err
	}
	var all handover.Complete
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4<<20)).Decode(&all); err != nil || len(all.ETags) == 0 {
		return fmt.Errorf("%w: the parts of the output are not told: %w", errBadRequest, err)
	}
	if err := g.fence(r.Context(), o); err != nil {
		if errors.Is(err, ErrSuperseded) {
			err = errors.Join(err, parts.Abort(r.Context(), id))
		}
		return fmt.Errorf("completing an output: %w", err)
	}
	err = parts.Complete(r.Context(), id, all.ETags)
	o.step.Trace.Moved(SpanSave, SpanObject{Name: r.PathValue("name"), Object: r.URL.Query().Get("object")}, o.step.Trace.beganAt(id), err)
	if err != nil {
		return fmt.Errorf("completing an output: %w", err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// formerly is the step of a delivery that another one took over from here: it may still take back
// what it has begun.
func (g *Gateway) formerly(grant Grant, superseded error) (*opened, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	o := g.open[attempt{grant.Run, grant.Key}]
	if o == nil {
		return nil, superseded
	}
	return &opened{step: o.step.AsDelivery(grant.Delivery), grant: grant}, nil
}

func (g *Gateway) abortParts(w http.ResponseWriter, r *http.Request, o *opened) error {
	parts, id, err := g.parts(r, o)
	if err == nil {
		err = parts.Abort(r.Context(), id)
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func answer(w http.ResponseWriter, with any) error {
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(with)
}
