package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/workflow/spec"
)

func connect(t *testing.T, handler http.HandlerFunc) *Client {
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	c, err := New(s.URL+"/base/", "secret")
	require.NoError(t, err)
	return c
}

func event(kind, name, phase string) string {
	return fmt.Sprintf("data: {\"result\":{\"type\":%q,\"object\":{\"metadata\":{\"name\":%q},\"spec\":{},\"status\":{\"phase\":%q}}}}\n\n", kind, name, phase)
}

func TestFollowTakesABrokenStreamUpAgain(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	c := connect(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/base/api/v1/workflow-events/ns" || r.URL.Query().Get("listOptions.fieldSelector") != "metadata.name=x" ||
			r.Header.Get("Authorization") != "Bearer secret" {
			http.Error(w, r.URL.String(), http.StatusTeapot)
			return
		}
		switch calls.Add(1) {
		case 1: // ends in the middle of an item
			fmt.Fprint(w, event("ADDED", "x", "Running")+":\n\n"+`data: {"result":{"ty`)
		case 2:
			panic(http.ErrAbortHandler)
		default:
			fmt.Fprint(w, event("ADDED", "x", "Succeeded")+event("MODIFIED", "x", "Failed"))
		}
	})
	var seen []spec.WorkflowPhase
	require.NoError(t, c.Follow(t.Context(), "ns", "x", func(wf *spec.Workflow) error {
		seen = append(seen, wf.Status.Phase)
		return nil
	}))
	require.Equal(t, []spec.WorkflowPhase{spec.WorkflowRunning, spec.WorkflowSucceeded}, seen)
}

func TestFollowEndsWithWhatCannotBeMended(t *testing.T) {
	t.Parallel()
	c := connect(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, event("DELETED", "x", "Running")) })
	never := func(*spec.Workflow) error { return errors.New("not this one") }
	err := c.Follow(t.Context(), "ns", "x", never)
	require.True(t, NotFound(err), "%v", err)

	c = connect(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"code":16,"message":"token not valid"}`)
	})
	require.EqualError(t, c.Follow(t.Context(), "ns", "x", never), "token not valid")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, c.Follow(ctx, "ns", "x", never), context.Canceled)
}

func TestErrorsOfTheServerKeepTheirCodes(t *testing.T) {
	t.Parallel()
	c := connect(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/base/api/v1/workflows/ns/gone":
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"code":5,"message":"no such thing","error":"ignored"}`)
		case "/base/api/v1/workflows/ns/gone/log":
			fmt.Fprint(w, `data: {"error":{"grpc_code":8,"http_code":429,"message":"too much","http_status":"Too Many Requests"}}`+"\n\n")
		default:
			http.Error(w, "<html>a proxy's page</html>", http.StatusBadGateway)
		}
	})
	_, err := c.Get(t.Context(), "ns", "gone", "")
	require.True(t, NotFound(err))
	require.EqualError(t, err, "no such thing")
	var e *Error
	require.ErrorAs(t, c.Logs(t.Context(), "ns", "gone", LogOptions{Tail: -1}, nil), &e)
	require.Equal(t, &Error{Status: 429, Code: 8, Message: "too much"}, e)
	_, err = c.Version(t.Context())
	require.ErrorAs(t, err, &e)
	require.Equal(t, 502, e.Status)
	require.Contains(t, e.Message, "502 Bad Gateway")
}

func TestAServerThatIsNotThereIsUnreachable(t *testing.T) {
	t.Parallel()
	c, err := New("127.0.0.1:1", "")
	require.NoError(t, err)
	_, err = c.List(t.Context(), "", ListOptions{})
	require.ErrorIs(t, err, ErrUnreachable)
	require.NotContains(t, err.Error(), "workflows", "the address is enough")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = c.List(ctx, "", ListOptions{})
	require.ErrorIs(t, err, context.Canceled)
}
