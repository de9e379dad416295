package server

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// createRequest is the body of a create or lint.
type createRequest struct {
	Namespace     string          `json:"namespace"`
	Workflow      json.RawMessage `json:"workflow"`
	ServerDryRun  bool            `json:"serverDryRun"`
	CreateOptions struct {
		DryRun []string `json:"dryRun"`
	} `json:"createOptions"`
}

func readCreate(r *http.Request) (*createRequest, error) {
	var req createRequest
	if err := readBody(r, &req); err != nil {
		return nil, err
	}
	if len(req.Workflow) == 0 || string(req.Workflow) == "null" {
		return nil, errorf(CodeInvalid, "workflow field not set")
	}
	return &req, nil
}

// readBody reads JSON, whatever the request says of its type; an empty body is an empty
// object, since some clients send none.
func readBody(r *http.Request, into any) error {
	data, err := io.ReadAll(r.Body)
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return errorf(CodeInvalid, "the request has more than %d bytes", tooLarge.Limit)
		}
		return errorf(CodeInvalid, "reading the request: %v", err)
	}
	if len(data) == 0 {
		return nil
	}
	if err := json.Unmarshal(data, into); err != nil {
		return errorf(CodeInvalid, "the request is not the JSON that was expected: %v", err)
	}
	return nil
}

func (h *HTTP) create(r *http.Request) (any, error) {
	req, err := readCreate(r)
	if err != nil {
		return nil, err
	}
	o := SubmitOptions{DryRun: req.ServerDryRun || len(req.CreateOptions.DryRun) > 0}
	return h.Service.Submit(r.Context(), r.PathValue("namespace"), req.Workflow, o)
}

func (h *HTTP) lint(r *http.Request) (any, error) {
	req, err := readCreate(r)
	if err != nil {
		return nil, err
	}
	return h.Service.Lint(r.Context(), r.PathValue("namespace"), req.Workflow)
}

func (h *HTTP) list(r *http.Request) (any, error) {
	q := r.URL.Query()
	o, err := listOptions(q)
	if err != nil {
		return nil, err
	}
	o.Nodes = parseFields(q.Get("fields")).wants("items", "status", "nodes")
	return h.Service.List(r.Context(), r.PathValue("namespace"), o)
}

func (h *HTTP) get(r *http.Request) (any, error) {
	return h.Service.Get(r.Context(), r.PathValue("namespace"), r.PathValue("name"), r.URL.Query().Get("uid"))
}

func (h *HTTP) nodes(r *http.Request) (any, error) {
	o, err := nodeOptions(r.URL.Query())
	if err != nil {
		return nil, err
	}
	return h.Service.Nodes(r.Context(), r.PathValue("namespace"), r.PathValue("name"), o)
}

func (h *HTTP) delete(r *http.Request) (any, error) {
	return struct{}{}, h.Service.Delete(r.Context(), r.PathValue("namespace"), r.PathValue("name"), r.URL.Query().Get("force") == "true")
}

func (h *HTTP) stop(r *http.Request) (any, error) {
	var req struct {
		NodeFieldSelector string `json:"nodeFieldSelector"`
		Message           string `json:"message"`
	}
	if err := readBody(r, &req); err != nil {
		return nil, err
	}
	if req.NodeFieldSelector != "" {
		set := workflow.Set{Phase: spec.NodeFailed, Message: req.Message}
		return h.Service.SetNodes(r.Context(), r.PathValue("namespace"), r.PathValue("name"), req.NodeFieldSelector, set)
	}
	return h.Service.Stop(r.Context(), r.PathValue("namespace"), r.PathValue("name"), req.Message)
}

func (h *HTTP) terminate(r *http.Request) (any, error) {
	return h.Service.Terminate(r.Context(), r.PathValue("namespace"), r.PathValue("name"))
}

func (h *HTTP) watch(s *stream, r *http.Request) error {
	o, err := listOptions(r.URL.Query())
	if err != nil {
		return err
	}
	feed, err := h.Service.Watch(r.PathValue("namespace"), o)
	if err != nil {
		return err
	}
	return serveFeed(s, r, feed)
}

func (h *HTTP) logs(s *stream, r *http.Request) error {
	o, err := logOptions(r.URL.Query(), h.Service.now())
	if err != nil {
		return err
	}
	feed, err := h.Service.Logs(r.Context(), r.PathValue("namespace"), r.PathValue("name"), o)
	if err != nil {
		return err
	}
	return serveFeed(s, r, feed)
}

func serveFeed[T any](s *stream, r *http.Request, feed Feed[T]) error {
	if err := s.start(); err != nil {
		return err
	}
	done := make(chan struct{})
	beating := make(chan struct{})
	go func() {
		defer close(beating)
		s.beat(done)
	}()
	// The connection may not be written to after the handler has returned.
	defer func() { close(done); <-beating }()
	return feed(r.Context(), func(v T) error { return s.send(v) })
}

func logOptions(q url.Values, now time.Time) (LogOptions, error) {
	o := LogOptions{
		PodName: q.Get("podName"), Container: q.Get("logOptions.container"), Grep: q.Get("grep"), Tail: -1,
	}
	for name, into := range map[string]*bool{"logOptions.follow": &o.Follow, "logOptions.timestamps": &o.Timestamps} {
		if s := q.Get(name); s != "" {
			v, err := strconv.ParseBool(s)
			if err != nil {
				return o, errorf(CodeInvalid, "%s: %q is neither true nor false", name, s)
			}
			*into = v
		}
	}
	if s := q.Get("logOptions.tailLines"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 {
			return o, errorf(CodeInvalid, "logOptions.tailLines: %q is not a number of lines", s)
		}
		o.Tail = n
	}
	if s := q.Get("logOptions.sinceSeconds"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 {
			return o, errorf(CodeInvalid, "logOptions.sinceSeconds: %q is not a number of seconds", s)
		}
		o.Since = now.Add(-time.Duration(n) * time.Second)
	}
	// Argo's client spells the time's parts as fields of their own.
	if s := q.Get("logOptions.sinceTime.seconds"); s != "" {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return o, errorf(CodeInvalid, "logOptions.sinceTime.seconds: %q is not a number", s)
		}
		o.Since = time.Unix(n, 0)
	} else if s := q.Get("logOptions.sinceTime"); s != "" {
		t, err := time.Parse(time.RFC3339, s)
		if err != nil {
			return o, errorf(CodeInvalid, "logOptions.sinceTime: %q is not an RFC 3339 time", s)
		}
		o.Since = t
	}
	if q.Get("selector") != "" {
		return o, errorf(CodeInvalid, "selector is not supported: choose a pod by podName")
	}
	return o, nil
}
