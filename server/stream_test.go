package server

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// lines opens a stream and returns a function that reads its next line.
func lines(t *testing.T, url, accept string) (http.Header, func() string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	req.Header.Set("Accept", accept)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	t.Cleanup(func() { res.Body.Close() })
	require.Equal(t, http.StatusOK, res.StatusCode)
	r := bufio.NewReader(res.Body)
	return res.Header, func() string {
		line, err := r.ReadString('\n')
		require.NoError(t, err)
		return line
	}
}

func TestAWatchSendsTheStateAndThenChanges(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.submit(t, "default", "x")
	header, next := lines(t, b.URL+"/api/v1/workflow-events/default?listOptions.fieldSelector=metadata.name=x", "text/event-stream")
	require.Equal(t, "text/event-stream", header.Get("Content-Type"))
	require.Equal(t, "nosniff", header.Get("X-Content-Type-Options"))
	event := func() (out struct{ Result WatchEvent }) {
		line := next()
		require.True(t, strings.HasPrefix(line, "data: {"), line)
		require.NoError(t, json.Unmarshal([]byte(line[6:]), &out))
		require.Equal(t, "\n", next())
		return out
	}
	e := event().Result
	require.Equal(t, Added, e.Type)
	require.Equal(t, spec.WorkflowPending, e.Object.Status.Phase)
	require.Equal(t, "you", e.Object.Spec.Arguments.Parameters[0].GetValue(), "arguments are kept apart and shown as one")

	b.store.do(func() { r.State.Phase, r.Version = spec.WorkflowRunning, 2 })
	e = event().Result
	require.Equal(t, Modified, e.Type)
	require.Equal(t, spec.WorkflowRunning, e.Object.Status.Phase)
	require.Equal(t, "Running", e.Object.Labels[labelPhase])
	require.Equal(t, "2", e.Object.ResourceVersion)

	require.NoError(t, b.service.Delete(t.Context(), "default", "x", false))
	require.Equal(t, Deleted, event().Result.Type)
	b.submit(t, "default", "x")
	require.Equal(t, Added, event().Result.Type, "another run took the name")
}

func TestAWatchOfManyFollowsTheSelection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newQuietBench()
		one := b.submit(t, "a", "one")
		b.submit(t, "b", "two")
		feed, err := b.service.Watch("", ListOptions{LabelSelector: labelCompleted + "=false"})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		events := make(chan string, 10)
		done := make(chan error)
		go func() {
			done <- feed(ctx, func(e WatchEvent) error {
				events <- e.Type + " " + e.Object.Name
				return nil
			})
		}()
		require.ElementsMatch(t, []string{"ADDED one", "ADDED two"}, []string{<-events, <-events})
		b.store.do(func() { one.State.Phase, one.Version = spec.WorkflowRunning, 2 })
		require.Equal(t, "MODIFIED one", <-events)
		b.store.do(func() { one.State.Phase, one.Version = spec.WorkflowSucceeded, 3 })
		require.Equal(t, "DELETED one", <-events, "it is not selected any more")
		require.NoError(t, b.service.Delete(ctx, "b", "two", false))
		require.Equal(t, "DELETED two", <-events)
		cancel()
		require.NoError(t, <-done)
	})
}

func TestAStreamSendsNothingThatArgosClientMisreads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/?fields=result.object.name", nil)
		r.Header.Set("Accept", "text/event-stream")
		s := newStream(w, r)
		done := make(chan struct{})
		go s.beat(done)
		require.NoError(t, s.send(map[string]any{"type": "ADDED", "object": map[string]any{"name": "x", "spec": 1}}))
		time.Sleep(2*keepAlive + time.Second)
		close(done)
		s.fail(errorf(CodeExhausted, "gone"))
		require.Equal(t, "data: {\"result\":{\"object\":{\"name\":\"x\"}}}\n\n:\n:\n"+
			`data: {"error":{"grpc_code":8,"http_code":429,"http_status":"Too Many Requests","message":"gone"}}`+"\n\n", w.Body.String())
	})
}

func TestAStreamIsPlainJSONLinesForOthers(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.submit(t, "default", "x")
	header, next := lines(t, b.URL+"/api/v1/workflow-events/?fields=result.type", "*/*")
	require.Equal(t, "application/json", header.Get("Content-Type"))
	require.Equal(t, `{"result":{"type":"ADDED"}}`+"\n", next())
}

// logged makes a run of two pods with logs.
func logged(t *testing.T, b *bench) (r *Record, a, z workflow.Key) {
	t.Helper()
	r = b.submitSpec(t, "x", `{"entrypoint":"both","templates":[
		{"name":"both","dag":{"tasks":[{"name":"a","template":"main"},{"name":"z","template":"main"}]}},
		{"name":"main","container":{"image":"busybox","command":["echo"]}}]}`)
	a, z = workflow.Root.Task("a"), workflow.Root.Task("z")
	at := func(s int) time.Time { return time.Unix(int64(1000+s), 0).UTC() }
	b.logs[a] = []Chunk{{at(1), []byte("a1\na2")}, {at(3), []byte(" goes on\r\na3\n")}, {at(9), []byte("unended")}}
	b.logs[z] = []Chunk{{at(2), []byte("z1\n")}, {at(4), []byte("\xffz2 error\n\n")}}
	node := func(k workflow.Key, started int) *workflow.Node {
		return &workflow.Node{Key: k, Type: spec.NodeTypePod, Phase: spec.NodeSucceeded, Template: "main", Started: workflow.At(at(started))}
	}
	b.store.do(func() {
		r.State.Phase, r.Version = spec.WorkflowSucceeded, 2
		r.Nodes = map[workflow.Key]*workflow.Node{workflow.Root: tasksOf(spec.NodeSucceeded), a: node(a, 1), z: node(z, 2)}
	})
	return r, a, z
}

func tasksOf(phase spec.NodePhase) *workflow.Node {
	return &workflow.Node{Type: spec.NodeTypeDAG, Phase: phase, Template: "both", DAG: &workflow.DAGState{}}
}

func TestLogsOfAllPodsAreMergedByTime(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, a, z := logged(t, b)
	podA, podZ := workflow.PodName("x", "main", a), workflow.PodName("x", "main", z)
	for _, tt := range []struct {
		name string
		o    LogOptions
		want []string
	}{
		{"all", LogOptions{Tail: -1}, []string{"a1", "a2 goes on", "z1", "a3", "\uFFFDz2 error", "", "unended"}},
		{"one pod", LogOptions{Tail: -1, PodName: podZ}, []string{"z1", "\uFFFDz2 error", ""}},
		{"the end", LogOptions{Tail: 1}, []string{"", "unended"}},
		{"nothing of it", LogOptions{Tail: 0}, nil},
		{"an expression", LogOptions{Tail: -1, Grep: "err|a[13]"}, []string{"a1", "a3", "\uFFFDz2 error"}},
		{"since a time", LogOptions{Tail: -1, Since: time.Unix(1003, 0)}, []string{"a3", "\uFFFDz2 error", "", "unended"}},
		{"with times", LogOptions{Tail: -1, Timestamps: true, PodName: podA, Grep: "a1"}, []string{"1970-01-01T00:16:41Z a1"}},
		{"another container", LogOptions{Tail: -1, Container: "wait"}, nil},
		{"of what has ended, followed", LogOptions{Tail: -1, Follow: true, Grep: "^z1"}, []string{"z1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			feed, err := b.service.Logs(t.Context(), "default", "x", tt.o)
			require.NoError(t, err)
			var got []string
			require.NoError(t, feed(t.Context(), func(e LogEntry) error {
				require.Contains(t, []string{podA, podZ}, e.PodName)
				got = append(got, e.Content)
				return nil
			}))
			require.Equal(t, tt.want, got)
		})
	}
}

func TestAFollowedLogEndsWithTheRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newQuietBench()
		r, a, z := logged(t, b)
		zNode := r.Nodes[z]
		b.store.do(func() {
			r.State.Phase = spec.WorkflowRunning
			r.Nodes = map[workflow.Key]*workflow.Node{
				workflow.Root: tasksOf(spec.NodeRunning), a: {Key: a, Type: spec.NodeTypePod, Phase: spec.NodeRunning, Template: "main"},
			}
		})
		feed, err := b.service.Logs(t.Context(), "default", "x", LogOptions{Tail: -1, Follow: true})
		require.NoError(t, err)
		got := make(chan string, 10)
		done := make(chan error)
		go func() {
			done <- feed(t.Context(), func(e LogEntry) error { got <- e.Content; return nil })
		}()
		synctest.Wait()
		require.Len(t, got, 3, "a line whose end has not come yet waits")
		time.Sleep(time.Minute)
		nodes := map[workflow.Key]*workflow.Node{
			workflow.Root: tasksOf(spec.NodeSucceeded), a: {Key: a, Type: spec.NodeTypePod, Phase: spec.NodeSucceeded, Template: "main"}, z: zNode,
		}
		b.store.do(func() { r.Nodes, r.State.Phase = nodes, spec.WorkflowSucceeded })
		require.NoError(t, <-done)
		close(got)
		var all []string
		for l := range got {
			all = append(all, l)
		}
		require.Equal(t, []string{"a1", "a2 goes on", "a3"}, all[:3])
		require.ElementsMatch(t, []string{"unended", "z1", "\uFFFDz2 error", ""}, all[3:])
	})
}

func TestALineWithoutEndIsSentInPieces(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, a, z := logged(t, b)
	delete(b.logs, z)
	b.logs[a] = []Chunk{{Data: []byte(strings.Repeat("x", 2*maxLogLine+10))}, {Data: []byte("\n")}}
	feed, err := b.service.Logs(t.Context(), "default", "x", LogOptions{Tail: -1})
	require.NoError(t, err)
	var sizes []int
	require.NoError(t, feed(t.Context(), func(e LogEntry) error { sizes = append(sizes, len(e.Content)); return nil }))
	require.Equal(t, []int{maxLogLine, maxLogLine, 10}, sizes)
}
