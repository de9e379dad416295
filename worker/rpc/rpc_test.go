package rpc_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/util/wait"

	"argosy/worker/rpc"
	"argosy/workflow/spec"
)

// soon tries as often as usual, without its pauses.
var soon = wait.Backoff{Duration: time.Microsecond, Steps: 5}

func request() *rpc.Request {
	r := &rpc.Request{Template: &spec.Template{Name: "main", Plugin: &spec.Plugin{Object: spec.Object{Value: []byte(`{"hello":{"to":"you"}}`)}}}}
	r.Workflow.Metadata = rpc.Metadata{Name: "wf", Namespace: "default", UID: "1"}
	return r
}

func TestAPluginIsAskedInArgosWords(t *testing.T) {
	t.Parallel()
	type asked struct{ method, path, kind, token, body string }
	got := make(chan asked, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- asked{r.Method, r.URL.Path, r.Header.Get("Content-Type"), r.Header.Get("Authorization"), string(body)}
		fmt.Fprint(w, `{"node":{"phase":"Running","message":"m","outputs":{"parameters":[{"name":"n","value":7}],"result":"r"},"progress":"1/2"},"requeue":"2m","other":1}`)
	}))
	t.Cleanup(server.Close)
	token := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(token, []byte("s3cr3t\n"), 0o600))
	p, err := rpc.Parse("hello=" + server.URL + "/,token-file=" + token)
	require.NoError(t, err)
	reply, err := p.Execute(t.Context(), request())
	require.NoError(t, err)
	a := <-got
	require.JSONEq(t, `{"workflow":{"metadata":{"name":"wf","namespace":"default","uid":"1"}},
		"template":{"name":"main","inputs":{},"outputs":{},"metadata":{},"plugin":{"hello":{"to":"you"}}}}`, a.body)
	a.body = ""
	require.Equal(t, asked{"POST", "/api/v1/template.execute", "application/json", "Bearer s3cr3t", ""}, a)
	require.Equal(t, spec.NodeRunning, reply.Node.Phase)
	require.Equal(t, "m", reply.Node.Message)
	require.Equal(t, "7", reply.Node.Outputs.Parameters[0].Value.String())
	require.Equal(t, "r", *reply.Node.Outputs.Result)
	require.Equal(t, spec.Progress("1/2"), reply.Node.Progress)
	require.Equal(t, 2*time.Minute, reply.Requeue.Duration)
}

func TestAnswersOtherThanANode(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		statuses []int // of one try after the other; the last one stays
		body     string
		tries    int32
		err      string // "": there is no node, and no error
	}{
		"it is none of the plugin's":  {[]int{200}, `{}`, 1, ""},
		"the plugin has no such call": {[]int{404}, `nothing here`, 1, ""},
		"unavailable for a while":     {[]int{503, 503, 200}, `{}`, 3, ""},
		"unavailable":                 {[]int{503}, `not today`, 5, "not today"},
		"unavailable, without a word": {[]int{503}, ``, 5, "503 Service Unavailable"},
		"an error":                    {[]int{500}, `boom`, 1, "500 Internal Server Error: boom"},
		"forbidden":                   {[]int{403}, `who are you`, 1, "403 Forbidden: who are you"},
		"sent elsewhere":              {[]int{302}, ``, 1, "302 Found: "},
		"no JSON":                     {[]int{200}, `<html>`, 1, "cannot be read"},
		"too large":                   {[]int{200}, strings.Repeat(" ", 16<<20+1), 1, "more than 16777216 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var tries atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "http://elsewhere.invalid/")
				w.WriteHeader(tt.statuses[min(int(tries.Add(1)), len(tt.statuses))-1])
				io.WriteString(w, tt.body) //nolint:errcheck // the client may hang up
			}))
			t.Cleanup(server.Close)
			p, err := rpc.Parse("p=" + server.URL)
			require.NoError(t, err)
			p.Retry = soon
			reply, err := p.Execute(t.Context(), request())
			require.Equal(t, tt.tries, tries.Load())
			if tt.err != "" {
				require.ErrorContains(t, err, tt.err)
				return
			}
			require.NoError(t, err)
			require.Nil(t, reply.Node)
		})
	}
}

func TestAPluginMayBeAtASocketAndComeUpLater(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "rpc") // a socket's path has to be short
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	p, err := rpc.Parse("p=unix://" + socket)
	require.NoError(t, err)
	p.Retry = soon
	_, err = p.Execute(t.Context(), request())
	require.ErrorContains(t, err, "no such file")

	l, err := net.Listen("unix", socket)
	require.NoError(t, err)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"node":{"phase":"Succeeded"}}`)
	}))
	server.Listener = l
	server.Start()
	t.Cleanup(server.Close)
	reply, err := p.Execute(t.Context(), request())
	require.NoError(t, err)
	require.Equal(t, spec.NodeSucceeded, reply.Node.Phase)
}

func TestTheEndOfAStepEndsTheAsking(t *testing.T) {
	t.Parallel()
	ended := errors.New("ended")
	ctx, cancel := context.WithCancelCause(t.Context())
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) //nolint:errcheck // a server notices who leaves when it has read what came
		cancel(ended)
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	p, err := rpc.Parse("p=" + server.URL)
	require.NoError(t, err)
	_, err = p.Execute(ctx, request())
	require.ErrorIs(t, err, ended)
}

func TestWherePluginsAreIsChecked(t *testing.T) {
	t.Parallel()
	for text, message := range map[string]string{
		"hello":                            "is not NAME=ADDRESS",
		"=http://a":                        "is not NAME=ADDRESS",
		"hello=localhost:1":                "neither http://HOST:PORT nor unix:///PATH",
		"hello=unix://rel/path":            "neither http://HOST:PORT nor unix:///PATH",
		"hello=http://a,token=b":           "token-file=PATH and nothing else",
		"hello=http://a,token-file=":       "token-file=PATH and nothing else",
		"hello=http://a b/":                "invalid character",
		"hello=ftp://a,token-file=/a/path": "neither http://HOST:PORT nor unix:///PATH",
	} {
		_, err := rpc.Parse(text)
		require.ErrorContains(t, err, message, text)
	}
	p, err := rpc.Parse("hello=http://a,token-file=/there/is/none")
	require.NoError(t, err)
	_, err = p.Execute(t.Context(), request())
	require.ErrorContains(t, err, `reading the token of executor plugin "hello"`)
}

func TestRepliesReadArgosDurations(t *testing.T) {
	t.Parallel()
	var r rpc.Reply
	require.NoError(t, json.Unmarshal([]byte(`{"requeue":"1m30s"}`), &r))
	require.Equal(t, 90*time.Second, r.Requeue.Duration)
}
