// Package client talks to an Argosy server, or to an Argo Server: the typed calls behind
// the commands.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"argosy/workflow/spec"
)

// ErrUnreachable says that no server answered.
var ErrUnreachable = errors.New("cannot reach the server")

// Error is a server's refusal.
type Error struct {
	Status  int    `json:"-"`    // of HTTP
	Code    int    `json:"code"` // of gRPC
	Message string `json:"message"`
}

func (e *Error) Error() string { return e.Message }

// Codes of Error that callers tell apart.
const (
	CodeNotFound     = 5
	CodeExists       = 6
	CodeExhausted    = 8
	CodePrecondition = 9
)

// Exhausted says that there is no room at present.
func Exhausted(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == CodeExhausted
}

// NotFound says that what was asked for does not exist.
func NotFound(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == CodeNotFound
}

// Client is a connection to a server. It may be used at the same time.
type Client struct {
	base  string
	token string
	http  *http.Client
	// Trace are headers that say which trace its calls are part of.
	Trace map[string]string
}

// New makes a client for an address: host:port, which means plain http, or a URL.
func New(address, token string) (*Client, error) {
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("reading the server's address: %w", err)
	}
	if u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("the server's address %q is neither host:port nor an http URL", address)
	}
	if token != "" && !strings.Contains(token, " ") {
		token = "Bearer " + token
	}
	return &Client{base: strings.TrimRight(u.String(), "/"), token: token, http: &http.Client{}}, nil
}

// Address is where the server is.
func (c *Client) Address() string { return c.base }

// callTime bounds a call other than a stream.
const callTime = time.Minute

// call sends a request and decodes the answer.
func (c *Client) call(ctx context.Context, method, path string, query url.Values, body, into any) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	res, err := c.send(ctx, method, path, query, body, "application/json")
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(into); err != nil {
		return c.trouble(ctx, fmt.Errorf("reading the answer to %s %s: %w", method, path, err))
	}
	return nil
}

// send sends a request; every answer but 200 is an error.
func (c *Client) send(ctx context.Context, method, path string, query url.Values, body any, accept string) (*http.Response, error) {
	var payload io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("encoding the request: %w", err)
		}
		payload = bytes.NewReader(data)
	}
	target := c.base + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, payload)
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", err)
	}
	req.Header.Set("Accept", accept)
	if payload != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", c.token)
	}
	for name, value := range c.Trace {
		req.Header.Set(name, value)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.trouble(ctx, err)
	}
	if res.StatusCode == http.StatusOK {
		return res, nil
	}
	defer res.Body.Close()
	refusal := &Error{Status: res.StatusCode}
	data, _ := io.ReadAll(io.LimitReader(res.Body, 1<<20)) // the status alone tells enough
	if json.Unmarshal(data, refusal) != nil || refusal.Message == "" {
		refusal.Message = fmt.Sprintf("%s %s: %s", method, path, res.Status)
	}
	return nil, refusal
}

// trouble is what went wrong on the way: the caller's own cancellation, or the server.
func (c *Client) trouble(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // its text repeats the URL
	}
	return fmt.Errorf("%w at %s: %w", ErrUnreachable, c.base, err)
}

func path(parts ...string) string {
	escaped := make([]string, len(parts))
	for i, p := range parts {
		escaped[i] = escape(p)
	}
	return "/api/v1/" + strings.Join(escaped, "/")
}

func escape(segment string) string { return url.PathEscape(segment) }

// Submit hands in a workflow. With dryRun the server keeps nothing.
func (c *Client) Submit(ctx context.Context, namespace string, wf *spec.Workflow, dryRun bool) (*spec.Workflow, error) {
	body := map[string]any{"namespace": namespace, "workflow": wf}
	if dryRun {
		body["createOptions"] = map[string]any{"dryRun": []string{"All"}}
	}
	var out spec.Workflow
	return &out, c.call(ctx, http.MethodPost, path("workflows", namespace), nil, body, &out)
}

// Get returns a run. fields may be empty.
func (c *Client) Get(ctx context.Context, namespace, name, fields string) (*spec.Workflow, error) {
	query := url.Values{}
	if fields != "" {
		query.Set("fields", fields)
	}
	var out spec.Workflow
	return &out, c.call(ctx, http.MethodGet, path("workflows", namespace, name), query, nil, &out)
}

// ListOptions choose runs.
type ListOptions struct {
	LabelSelector, FieldSelector, NameFilter string
	CreatedAfter, FinishedBefore             time.Time
	Fields                                   string
	Limit                                    int
	Continue                                 string
}

func (o ListOptions) query() url.Values {
	q := url.Values{}
	for name, value := range map[string]string{
		"listOptions.labelSelector": o.LabelSelector, "listOptions.fieldSelector": o.FieldSelector,
		"listOptions.continue": o.Continue, "nameFilter": o.NameFilter, "fields": o.Fields,
	} {
		if value != "" {
			q.Set(name, value)
		}
	}
	for name, t := range map[string]time.Time{"createdAfter": o.CreatedAfter, "finishedBefore": o.FinishedBefore} {
		if !t.IsZero() {
			q.Set(name, t.UTC().Format(time.RFC3339))
		}
	}
	if o.Limit > 0 {
		q.Set("listOptions.limit", strconv.Itoa(o.Limit))
	}
	return q
}

// List returns a page of the runs of a namespace, or of all if it is empty.
func (c *Client) List(ctx context.Context, namespace string, o ListOptions) (*spec.WorkflowList, error) {
	var out spec.WorkflowList
	return &out, c.call(ctx, http.MethodGet, path("workflows", namespace), o.query(), nil, &out)
}

// NodeOptions choose nodes of a run.
type NodeOptions struct {
	Phases   []string // none: all
	Under    string   // a node by name, id or pod name: it and what is below it
	Limit    int      // 0: as many as the server likes
	Continue string
}

// NodeList is a page of a run's nodes. With Continue there may be more.
type NodeList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata"`
	Items           []spec.NodeStatus `json:"items"`
}

// Nodes returns a page of the nodes of a run, in the order of the tree.
func (c *Client) Nodes(ctx context.Context, namespace, name string, o NodeOptions) (*NodeList, error) {
	q := url.Values{}
	for key, value := range map[string]string{"phase": strings.Join(o.Phases, ","), "under": o.Under, "continue": o.Continue} {
		if value != "" {
			q.Set(key, value)
		}
	}
	if o.Limit > 0 {
		q.Set("limit", strconv.Itoa(o.Limit))
	}
	var out NodeList
	return &out, c.call(ctx, http.MethodGet, path("workflows", namespace, name, "nodes"), q, nil, &out)
}

// Stop ends a run after what runs now; exit handlers still run. With a selector it fails only
// the nodes that wait and that it matches.
func (c *Client) Stop(ctx context.Context, namespace, name, selector, message string) error {
	return c.put(ctx, namespace, name, "stop", map[string]any{"nodeFieldSelector": selector, "message": message})
}

// put has something done to a run.
func (c *Client) put(ctx context.Context, namespace, name, verb string, body map[string]any) error {
	if body == nil {
		body = map[string]any{}
	}
	body["namespace"], body["name"] = namespace, name
	return c.call(ctx, http.MethodPut, path("workflows", namespace, name, verb), nil, body, &struct{}{})
}

// Suspend has nothing new start in a run.
func (c *Client) Suspend(ctx context.Context, namespace, name string) error {
	return c.put(ctx, namespace, name, "suspend", nil)
}

// Resume lets a run go on, and its nodes that wait: all, or those that a selector matches.
func (c *Client) Resume(ctx context.Context, namespace, name, selector string) error {
	return c.put(ctx, namespace, name, "resume", map[string]any{"nodeFieldSelector": selector})
}

// RetryOptions change what Retry does.
type RetryOptions struct {
	RestartSuccessful bool     `json:"restartSuccessful,omitempty"`
	NodeFieldSelector string   `json:"nodeFieldSelector,omitempty"`
	Parameters        []string `json:"parameters,omitempty"` // name=value
}

// Retry runs again what failed of a run that has ended.
func (c *Client) Retry(ctx context.Context, namespace, name string, o RetryOptions) (*spec.Workflow, error) {
	var out spec.Workflow
	return &out, c.call(ctx, http.MethodPut, path("workflows", namespace, name, "retry"), nil, o, &out)
}

// Resubmit submits the workflow of a run once more. With memoized what succeeded is skipped.
func (c *Client) Resubmit(ctx context.Context, namespace, name string, memoized bool, parameters []string) (*spec.Workflow, error) {
	var out spec.Workflow
	body := map[string]any{"namespace": namespace, "name": name, "memoized": memoized, "parameters": parameters}
	return &out, c.call(ctx, http.MethodPut, path("workflows", namespace, name, "resubmit"), nil, body, &out)
}

// NodeSet is what nodes that wait are set to.
type NodeSet struct {
	Phase, Message string
	Parameters     map[string]string // outputs
}

// SetNodes sets the nodes of a run that wait and that a selector matches.
func (c *Client) SetNodes(ctx context.Context, namespace, name, selector string, set NodeSet) error {
	body := map[string]any{"nodeFieldSelector": selector, "phase": set.Phase, "message": set.Message}
	if len(set.Parameters) > 0 {
		data, err := json.Marshal(set.Parameters)
		if err != nil {
			return fmt.Errorf("encoding the output parameters: %w", err)
		}
		body["outputParameters"] = string(data)
	}
	return c.put(ctx, namespace, name, "set", body)
}

// Terminate ends a run at once.
func (c *Client) Terminate(ctx context.Context, namespace, name string) error {
	return c.put(ctx, namespace, name, "terminate", nil)
}

// Delete removes a run, after the artifacts that go with it unless it is forced.
func (c *Client) Delete(ctx context.Context, namespace, name string, force bool) error {
	var query url.Values
	if force {
		query = url.Values{"force": {"true"}}
	}
	return c.call(ctx, http.MethodDelete, path("workflows", namespace, name), query, nil, &struct{}{})
}

// Version is what a server says of itself.
type Version struct {
	Version   string `json:"version"`
	GitCommit string `json:"gitCommit"`
	GoVersion string `json:"goVersion"`
	Platform  string `json:"platform"`
}

// Version asks the server which one it is.
func (c *Client) Version(ctx context.Context) (*Version, error) {
	var out Version
	return &out, c.call(ctx, http.MethodGet, path("version"), nil, nil, &out)
}
