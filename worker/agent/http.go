package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"argosy/worker"
	"argosy/worker/egress"
	"argosy/workflow"
	"argosy/workflow/expr"
	"argosy/workflow/spec"
)

// maxBody is what is read of an answer: a condition sees all of it, the result has the
// first worker.MaxResult.
const maxBody = 16 << 20

// request makes the request of an http template. Whatever goes wrong with it is the user's
// failure, but for an address that workflows may not reach and a secret that is not there.
func (a *Agent) request(ctx context.Context, s *worker.Step) (workflow.Result, error) {
	t := s.Template.HTTP
	limited, cancel := ctx, context.CancelFunc(func() {})
	if t.TimeoutSeconds != nil {
		limited, cancel = context.WithTimeout(ctx, time.Duration(*t.TimeoutSeconds)*time.Second)
	}
	defer cancel()
	sent, answer, body, err := a.exchange(limited, s.Run.Namespace, t) //nolint:bodyclose // it closes what it read
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return workflow.Result{}, fmt.Errorf("ending the request: %w", context.Cause(ctx))
	case errors.Is(err, egress.ErrRefused):
		return workflow.Result{}, &worker.Fault{Class: worker.ClassInvalid, Err: err}
	default:
		if fault, ok := errors.AsType[*worker.Fault](err); ok {
			return workflow.Result{}, fault
		}
		return workflow.Result{Phase: spec.NodeFailed, Message: err.Error()}, nil
	}
	fmt.Fprintf(s.Log, "%s %s: %s, %d bytes\n", sent.Method, t.URL, answer.Status, len(body))
	return judge(t, sent, answer, body), nil
}

func (a *Agent) exchange(ctx context.Context, namespace string, t *spec.HTTP) (*http.Request, *http.Response, []byte, error) {
	payload := payload(t)
	r, err := http.NewRequestWithContext(ctx, t.Method, t.URL, bytes.NewReader(payload))
	if err != nil {
		return nil, nil, nil, err
	}
	for i := range t.Headers {
		value, err := a.header(ctx, namespace, &t.Headers[i])
		if err != nil {
			return nil, nil, nil, err
		}
		if strings.EqualFold(t.Headers[i].Name, "host") {
			r.Host = value
		} else {
			r.Header.Add(t.Headers[i].Name, value)
		}
	}
	answer, err := a.clients[t.InsecureSkipVerify].Do(r)
	if err != nil {
		return nil, nil, nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxBody+1))
	if err == nil && len(body) > maxBody {
		err = fmt.Errorf("the answer has more than %d bytes", maxBody)
	}
	if err != nil {
		return nil, nil, nil, fmt.Errorf("reading the answer of %s: %w", t.URL, err)
	}
	return r, answer, body, nil
}

func payload(t *spec.HTTP) []byte {
	if t.BodyFrom != nil {
		return t.BodyFrom.Bytes
	}
	return []byte(t.Body)
}

func (a *Agent) header(ctx context.Context, namespace string, h *spec.HTTPHeader) (string, error) {
	if h.ValueFrom == nil || h.ValueFrom.SecretKeyRef == nil {
		return h.Value, nil
	}
	value, _, err := worker.SecretValue(ctx, a.objects, namespace, h.ValueFrom.SecretKeyRef)
	return string(value), err
}

// judge is the result of an answer: as the template's condition says, or else by its status.
func judge(t *spec.HTTP, sent *http.Request, answer *http.Response, body []byte) workflow.Result {
	result := string(body[:min(len(body), worker.MaxResult)])
	r := workflow.Result{Phase: spec.NodeSucceeded, Outputs: &workflow.Values{Result: &result}}
	if t.SuccessCondition == "" {
		if answer.StatusCode < 200 || answer.StatusCode > 299 {
			r.Phase, r.Message = spec.NodeFailed, fmt.Sprintf("received non-2xx response code: %d", answer.StatusCode)
		}
		return r
	}
	scope := expr.Map{
		"request": map[string]any{
			"method": t.Method, "url": t.URL, "body": t.Body, "bodyBytes": string(payload(t)), "headers": headers(declared(t, sent)),
		},
		"response": map[string]any{
			"statusCode": answer.StatusCode, "body": string(body), "headers": headers(answer.Header),
		},
	}
	met, err := expr.EvalBool(t.SuccessCondition, scope)
	switch {
	case err != nil:
		r.Phase, r.Message = spec.NodeFailed, err.Error()
	case !met:
		r.Phase, r.Message = spec.NodeFailed, fmt.Sprintf("successCondition '%s' evaluated false", t.SuccessCondition)
	}
	return r
}

// declared are the headers as the template has them: what comes from secrets stays out of
// what a message may show.
func declared(t *spec.HTTP, sent *http.Request) http.Header {
	h := sent.Header.Clone()
	for i := range t.Headers {
		if t.Headers[i].ValueFrom != nil {
			h.Del(t.Headers[i].Name)
		}
	}
	return h
}

func headers(h http.Header) map[string]any {
	out := make(map[string]any, len(h))
	for name, values := range h {
		list := make([]any, len(values))
		for i, v := range values {
			list[i] = v
		}
		out[name] = list
	}
	return out
}
