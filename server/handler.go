package server

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"argosy/workflow/spec"
)

// maxBody bounds a request. A spec of the largest size that Parse reads fits, with room for
// the escapes that JSON needs.
const maxBody = 2*spec.MaxFileSize + 1<<20

// answerTime bounds the time that a request other than a stream may take.
const answerTime = 30 * time.Second

// Version is what /api/v1/version answers; Argo's clients want every field.
type Version struct {
	Version      string `json:"version"`
	BuildDate    string `json:"buildDate"`
	GitCommit    string `json:"gitCommit"`
	GitTag       string `json:"gitTag"`
	GitTreeState string `json:"gitTreeState"`
	GoVersion    string `json:"goVersion"`
	Compiler     string `json:"compiler"`
	Platform     string `json:"platform"`
}

// HTTP is what the Handler needs beside the Service.
type HTTP struct {
	Service  *Service
	Auth     *Auth
	Log      *slog.Logger
	Metrics  *Metrics
	Gatherer prometheus.Gatherer
	Version  Version
	// Traced follows requests, and Route is told which route one took; nil: nobody does.
	Traced func(http.Handler) http.Handler
	Route  func(ctx context.Context, method, route string)
	// Webhooks are folders with who signs events, by namespace; others have theirs in a stored Secret.
	Webhooks map[string]string
}

// Handler serves Argo Server's paths.
func (h *HTTP) Handler() http.Handler {
	mux := http.NewServeMux()
	routes := h.objectRoutes()
	maps.Copy(routes, h.syncRoutes())
	maps.Copy(routes, h.archiveRoutes())
	maps.Copy(routes, map[string]func(*http.Request) (any, error){
		"POST /api/v1/workflows/{namespace}":                 h.create,
		"GET /api/v1/workflows/{namespace}":                  h.list,
		"GET /api/v1/workflows/{$}":                          h.list,
		"POST /api/v1/workflows/{namespace}/lint":            h.lint,
		"POST /api/v1/workflows/{namespace}/submit":          h.submitFrom,
		"GET /api/v1/workflows/{namespace}/{name}":           h.get,
		"GET /api/v1/workflows/{namespace}/{name}/nodes":     h.nodes,
		"DELETE /api/v1/workflows/{namespace}/{name}":        h.delete,
		"PUT /api/v1/workflows/{namespace}/{name}/stop":      h.stop,
		"PUT /api/v1/workflows/{namespace}/{name}/terminate": h.terminate,
		"PUT /api/v1/workflows/{namespace}/{name}/suspend":   h.suspend,
		"PUT /api/v1/workflows/{namespace}/{name}/resume":    h.resume,
		"PUT /api/v1/workflows/{namespace}/{name}/set":       h.set,
		"PUT /api/v1/workflows/{namespace}/{name}/retry":     h.retry,
		"PUT /api/v1/workflows/{namespace}/{name}/resubmit":  h.resubmit,
		"POST /api/v1/events/{namespace}/{$}":                h.event,
		"POST /api/v1/events/{namespace}/{discriminator}":    h.event,
		"GET /api/v1/version":                                func(*http.Request) (any, error) { return h.Version, nil },
		"GET /api/v1/info":                                   info,
		"GET /api/v1/userinfo":                               func(r *http.Request) (any, error) { u, _ := userOf(r.Context()); return u.info(), nil },
	})
	for pattern, serve := range routes {
		mux.Handle(pattern, h.observed(pattern, false, h.answering(serve)))
	}
	for pattern, serve := range map[string]func(*stream, *http.Request) error{
		"GET /api/v1/workflow-events/{namespace}":      h.watch,
		"GET /api/v1/workflow-events/{$}":              h.watch,
		"GET /api/v1/workflows/{namespace}/{name}/log": h.logs,
	} {
		mux.Handle(pattern, h.observed(pattern, true, h.streaming(serve)))
	}
	for pattern, serve := range h.artifactRoutes() {
		mux.Handle(pattern, h.observed(pattern, true, serve))
	}
	mux.Handle("GET /metrics", promhttp.HandlerFor(h.Gatherer, promhttp.HandlerOpts{}))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeError(w, errorf(CodeNotFound, "%s %s is not served here", r.Method, r.URL.Path))
	})
	guarded := h.guard(mux)
	if h.Traced != nil {
		guarded = h.Traced(guarded)
	}

	outer := http.NewServeMux()
	outer.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "ok\n") //nolint:errcheck // the client is gone, then
	})
	outer.HandleFunc("GET /readyz", h.ready)
	outer.Handle("/", guarded)
	return bounded(outer)
}

// observed counts the requests of a pattern, and names them for those who follow them.
func (h *HTTP) observed(pattern string, streaming bool, next http.Handler) http.Handler {
	path := route(pattern)
	counted := h.Metrics.observed(path, streaming, next)
	if h.Route == nil {
		return counted
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.Route(r.Context(), r.Method, path)
		counted.ServeHTTP(w, r)
	})
}

// route is the pattern without its method.
func route(pattern string) string {
	_, path, _ := strings.Cut(pattern, " ")
	return path
}

// guard refuses who may not come in, and what is too much.
func (h *HTTP) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		user, e := h.Auth.check(r)
		if e != nil && e.Code == CodeUnauthenticated {
			as, by, known, bad := h.webhook(r)
			switch {
			case bad != nil:
				e = bad
			case known:
				r, user, e = as, by, nil
			}
		}
		if e != nil {
			if r.URL.Path == "/metrics" {
				e = &Error{Code: CodeForbidden, Message: e.Message} // what Argo's answers there
			}
			writeError(w, e)
			return
		}
		next.ServeHTTP(w, r.WithContext(withUser(r.Context(), user)))
	})
}

// answering serves what ends in one JSON object, with status 200 and no other.
func (h *HTTP) answering(serve func(*http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), answerTime)
		defer cancel()
		v, err := serve(r.WithContext(ctx))
		if err != nil {
			h.fail(r, err, func(e *Error) { writeError(w, e) })
			return
		}
		data, err := parseFields(r.URL.Query().Get("fields")).encode(v)
		if err != nil {
			h.fail(r, fmt.Errorf("encoding the answer: %w", err), func(e *Error) { writeError(w, e) })
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Write(data) //nolint:errcheck // the client is gone, then
	})
}

// streaming serves what goes on for a while.
func (h *HTTP) streaming(serve func(*stream, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // it ends the context when it passes
		ctx, cancel := untilStop(r)
		defer cancel()
		s := newStream(w, r)
		if err := serve(s, r.WithContext(ctx)); err != nil && ctx.Err() == nil {
			h.fail(r, err, func(e *Error) { s.fail(e) })
		}
	})
}

// fail answers with the error. What is our fault is logged; the rest is the client's affair.
func (h *HTTP) fail(r *http.Request, err error, answer func(*Error)) {
	e := asError(err)
	if e.Code.HTTP() >= http.StatusInternalServerError && r.Context().Err() == nil {
		h.Log.Error("request failed", "method", r.Method, "path", r.URL.Path, "err", err)
	}
	answer(e)
}

func writeError(w http.ResponseWriter, e *Error) {
	data, err := json.Marshal(e)
	if err != nil {
		data = []byte(`{"code":13,"message":"encoding the error failed"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.Code.HTTP())
	w.Write(data) //nolint:errcheck // the client is gone, then
}

func (h *HTTP) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	if err := h.Service.Ready(ctx); err != nil {
		writeError(w, errorf(CodeUnavailable, "the store does not answer"))
		return
	}
	io.WriteString(w, "ok\n") //nolint:errcheck // the client is gone, then
}

func info(*http.Request) (any, error) {
	return map[string]any{"managedNamespace": "", "links": []string{}, "columns": []string{}, "modals": map[string]bool{}, "navColor": ""}, nil
}
