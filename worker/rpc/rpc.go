// Package rpc asks executor plugins: programs of others that carry out plugin templates. They speak
// Argo's contract, a POST of JSON to /api/v1/template.execute:
//
//	{workflow, template} -> {node, requeue}  it ended so, or goes on and is to be asked again
//	                     -> {}, or 404       the template is for another plugin
//	                     -> 503              it cannot say now
//
// What a plugin does with a template, and as whom, is its own affair.
package rpc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"argosy/worker"
	"argosy/workflow/spec"
)

const (
	// callTime is how long a plugin may take to answer, and maxReply what it may answer.
	callTime = 30 * time.Second
	maxReply = 16 << 20

	method = "/api/v1/template.execute"
)

// Request is what a plugin is asked.
type Request struct {
	Workflow Workflow       `json:"workflow"`
	Template *spec.Template `json:"template"`
}

// Workflow is what a plugin is told of the run.
type Workflow struct {
	Metadata Metadata `json:"metadata"`
}

// Metadata names a run.
type Metadata struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace,omitempty"`
	UID       string `json:"uid,omitempty"`
}

// Reply is what a plugin answers. Without a node the template is none of its.
type Reply struct {
	Node    *Node            `json:"node,omitempty"`
	Requeue *metav1.Duration `json:"requeue,omitempty"` // when to ask again, unless the node has ended
}

// Node is what became of a template so far.
type Node struct {
	Phase    spec.NodePhase `json:"phase,omitempty"`
	Message  string         `json:"message,omitempty"`
	Outputs  *spec.Outputs  `json:"outputs,omitempty"`
	Progress spec.Progress  `json:"progress,omitempty"`
}

// Plugin is where a plugin listens.
type Plugin struct {
	Name string
	// Retry is how often and how soon it is asked again when it cannot be reached, or says so.
	Retry wait.Backoff

	url       string
	tokenFile string // of the bearer token that it knows its callers by; "" is none
	client    *http.Client
}

// Parse reads NAME=ADDRESS or NAME=ADDRESS,token-file=PATH. The address is http://HOST:PORT, https
// likewise, or unix:///PATH.
func Parse(text string) (*Plugin, error) {
	name, rest, ok := strings.Cut(text, "=")
	address, options, more := strings.Cut(rest, ",")
	if !ok || name == "" {
		return nil, fmt.Errorf("%q is not NAME=ADDRESS", text)
	}
	p := &Plugin{Name: name, Retry: wait.Backoff{Duration: time.Second, Factor: 2, Jitter: 0.2, Steps: 5}}
	if more {
		if p.tokenFile, ok = strings.CutPrefix(options, "token-file="); !ok || p.tokenFile == "" {
			return nil, fmt.Errorf("after the address of executor plugin %q there may be token-file=PATH and nothing else", name)
		}
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("executor plugin %q: %w", name, err)
	}
	dial := (&net.Dialer{}).DialContext
	switch {
	case (u.Scheme == "http" || u.Scheme == "https") && u.Host != "":
		p.url = strings.TrimSuffix(address, "/") + method
	case u.Scheme == "unix" && u.Host == "" && filepath.IsAbs(u.Path):
		p.url = "http://" + url.PathEscape(name) + method
		dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", u.Path)
		}
	default:
		return nil, fmt.Errorf("executor plugin %q: %q is neither http://HOST:PORT nor unix:///PATH", name, address)
	}
	p.client = &http.Client{
		Timeout: callTime,
		// No proxy: a plugin is beside the worker. No redirects: the token is for nobody else.
		Transport:     &http.Transport{DialContext: dial, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 16, IdleConnTimeout: 90 * time.Second},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return p, nil
}

// errTransient marks what may be gone at the next try.
type errTransient struct{ error }

func (e errTransient) Unwrap() error { return e.error }

// Execute asks the plugin about a template. An error has Argo's words.
func (p *Plugin) Execute(ctx context.Context, r *Request) (*Reply, error) {
	body, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encoding the template: %w", err)
	}
	var reply *Reply
	var last error
	err = wait.ExponentialBackoffWithContext(ctx, p.Retry, func(ctx context.Context) (bool, error) {
		reply, last = p.call(ctx, body)
		if transient, ok := errors.AsType[errTransient](last); ok && ctx.Err() == nil {
			last = transient.error
			return false, nil
		}
		return true, last
	})
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("asking executor plugin %q: %w", p.Name, context.Cause(ctx))
	case wait.Interrupted(err):
		return nil, last
	}
	return reply, err
}

func (p *Plugin) call(ctx context.Context, body []byte) (*Reply, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	if p.tokenFile != "" {
		token, err := os.ReadFile(p.tokenFile)
		if err != nil {
			return nil, worker.Faultf(worker.ClassExecutor, "reading the token of executor plugin %q: %w", p.Name, err)
		}
		r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	answer, err := p.client.Do(r)
	if err != nil {
		return nil, errTransient{err}
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxReply+1))
	switch {
	case err != nil:
		return nil, errTransient{fmt.Errorf("reading the answer: %w", err)}
	case len(text) > maxReply:
		return nil, fmt.Errorf("the answer of executor plugin %q has more than %d bytes", p.Name, maxReply)
	}
	said := strings.TrimSpace(string(text[:min(len(text), worker.MaxResult)]))
	switch answer.StatusCode {
	case http.StatusOK:
		reply := &Reply{}
		if err := json.Unmarshal(text, reply); err != nil {
			return nil, fmt.Errorf("the answer of executor plugin %q cannot be read: %w", p.Name, err)
		}
		return reply, nil
	case http.StatusNotFound:
		return &Reply{}, nil
	case http.StatusServiceUnavailable:
		if said == "" {
			said = answer.Status
		}
		return nil, errTransient{errors.New(said)}
	}
	return nil, fmt.Errorf("%s: %s", answer.Status, said)
}
