package agent_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/worker"
	"argosy/worker/agent"
	"argosy/worker/egress"
	"argosy/worker/executortest"
	"argosy/worker/rpc"
	"argosy/workflow"
	"argosy/workflow/spec"
)

// pluginAgent has plugins that answer with one text after the other, and then with the last.
func pluginAgent(t *testing.T, plugins ...[]string) *agent.Agent {
	t.Helper()
	var all []*rpc.Plugin
	for i, answers := range plugins {
		var asked atomic.Int32
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, answers[min(int(asked.Add(1)), len(answers))-1])
		}))
		t.Cleanup(server.Close)
		p, err := rpc.Parse(fmt.Sprintf("p%d=%s", i, server.URL))
		require.NoError(t, err)
		all = append(all, p)
	}
	return agent.New(nobody, &egress.Guard{}, objects{}, executortest.NewStore(), all, "here")
}

func pluginStep() *worker.Step {
	s := step(&spec.Template{Plugin: &spec.Plugin{Object: spec.Object{Value: []byte(`{"p":{}}`)}}})
	s.Template.Outputs.Parameters = []spec.Parameter{{Name: "a", GlobalName: "shared"}}
	return s
}

func TestPluginsDecideHowTheirTemplatesEnd(t *testing.T) {
	t.Parallel()
	seven := 7
	for name, tt := range map[string]struct {
		plugins [][]string
		want    workflow.Result
		fault   string
	}{
		"one that does it": {
			plugins: [][]string{{`{"node":{"phase":"Succeeded","message":"Hello template!"}}`}},
			want:    workflow.Result{Phase: spec.NodeSucceeded, Message: "Hello template!"},
		},
		"one that fails": {
			plugins: [][]string{{`{"node":{"phase":"Failed","message":"no luck"},"requeue":"1h"}`}},
			want:    workflow.Result{Phase: spec.NodeFailed, Message: "no luck"},
		},
		"one that errs": {
			plugins: [][]string{{`{"node":{"phase":"Error","message":"mine"}}`}},
			want:    workflow.Result{Phase: spec.NodeError, Message: "mine"},
		},
		"the next one is asked": {
			plugins: [][]string{{`{}`}, {`{"node":{"phase":"Succeeded"}}`}},
			want:    workflow.Result{Phase: spec.NodeSucceeded},
		},
		"none does it":   {plugins: [][]string{{`{}`}, {`{}`}}, want: workflow.Result{Phase: spec.NodeFailed, Message: "no plugin executed the template"}},
		"there are none": {want: workflow.Result{Phase: spec.NodeFailed, Message: "no plugin executed the template"}},
		"nobody asks again": {
			plugins: [][]string{{`{"node":{"phase":"Running"}}`}},
			want:    workflow.Result{Phase: spec.NodeFailed, Message: `executor plugin "p0" left the node Running and does not say when to requeue it`},
		},
		"outputs": {
			plugins: [][]string{{`{"node":{"phase":"Succeeded","progress":"3/3","outputs":{"result":"r","exitCode":"7",
				"parameters":[{"name":"a","value":"A"},{"name":"b","value":2,"globalName":"g"},{"name":"none"}],
				"artifacts":[{"name":"f","s3":{"key":"k"}}]}}}`}},
			want: workflow.Result{Phase: spec.NodeSucceeded, Progress: "3/3", Outputs: &workflow.Values{
				Result: new("r"), ExitCode: &seven,
				Parameters: []workflow.Param{{Name: "a", Value: "A", Global: "shared"}, {Name: "b", Value: "2", Global: "g"}},
				Artifacts:  []spec.Artifact{{Name: "f", ArtifactLocation: spec.ArtifactLocation{S3: &spec.S3Artifact{Key: "k"}}}},
			}},
		},
		"an exit code that is none": {plugins: [][]string{{`{"node":{"phase":"Succeeded","outputs":{"exitCode":"x"}}}`}}, fault: "is not a number"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := pluginAgent(t, tt.plugins...).Execute(t.Context(), pluginStep())
			if tt.fault != "" {
				fault, ok := errors.AsType[*worker.Fault](err)
				require.True(t, ok, "%v", err)
				require.Equal(t, worker.ClassOutput, fault.Class)
				require.ErrorContains(t, err, tt.fault)
				return
			}
			require.NoError(t, err)
			require.Equal(t, "here", r.Host)
			r.Started, r.Finished, r.Host = 0, 0, ""
			require.Equal(t, tt.want, r)
		})
	}
}

func TestAPluginIsAskedAgainWithoutASlot(t *testing.T) {
	t.Parallel()
	s := pluginStep()
	aside, waits, progress := 0, []string{}, []spec.Progress{}
	s.Aside = func() { aside++ }
	s.Waits = func(_ context.Context, message string) error { waits = append(waits, message); return nil }
	s.Tells = func(_ context.Context, p spec.Progress) error { progress = append(progress, p); return nil }
	r, err := pluginAgent(t, []string{
		`{"node":{"message":"queued"},"requeue":"1ms"}`,
		`{"node":{"phase":"Pending","message":"queued"},"requeue":"1ms"}`,
		`{"node":{"phase":"Running","message":"it runs","progress":"1/2"},"requeue":"1ms"}`,
		`{"node":{"phase":"Succeeded","message":"done"}}`,
	}).Execute(t.Context(), s)
	require.NoError(t, err)
	require.Equal(t, "done", r.Message)
	require.Equal(t, 3, aside)
	require.Equal(t, []string{"queued", ""}, waits)
	require.Equal(t, []spec.Progress{"1/2"}, progress)
}

func TestAStepThatWaitsForAPluginEndsWhenItIsStopped(t *testing.T) {
	t.Parallel()
	s := pluginStep()
	ctx, cancel := context.WithCancelCause(t.Context())
	s.Aside = func() { cancel(worker.ErrStopped) }
	_, err := pluginAgent(t, []string{`{"node":{"phase":"Running"},"requeue":"1h"}`}).Execute(ctx, s)
	require.ErrorIs(t, err, worker.ErrStopped)
}
