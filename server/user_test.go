package server

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const labelPrefix = "workflows.argoproj.io/"

// whose are the labels among others that say who did something.
func whose(labels map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range labels {
		if name := strings.TrimPrefix(k, labelPrefix); strings.HasPrefix(name, "creator") || strings.HasPrefix(name, "act") {
			out[name] = v
		}
	}
	return out
}

func TestWhatIsMadeIsLabelledWithWhoMadeIt(t *testing.T) {
	t.Parallel()
	const alice, known, nobody = "secret-a", "secret-b", "secret-c"
	b := newBench(t, alice+" name=team:alice email=alice@example.com username=al", known+" name="+strings.Repeat("x", 70)+"-", nobody)
	pretended := hello(`{"name":"NAME","labels":{"own":"x","workflows.argoproj.io/creator":"root","workflows.argoproj.io/creator-email":"root"}}`)
	for name, c := range map[string]struct {
		token string
		want  map[string]string
	}{
		"a": {alice, map[string]string{"creator": "team-alice", "creator-email": "alice.at.example.com", "creator-preferred-username": "al"}},
		"b": {known, map[string]string{"creator": strings.Repeat("x", 62)}},
		"c": {nobody, map[string]string{}},
	} {
		for _, doc := range []string{hello(`{"name":"NAME"}`), pretended} {
			name := name + map[bool]string{true: "-pretended"}[doc == pretended]
			var wf struct {
				Metadata struct{ Labels map[string]string }
			}
			status := b.as(t, c.token, "POST", "/api/v1/workflows/default", `{"workflow":`+strings.ReplaceAll(doc, "NAME", name)+`}`, &wf)
			require.Equal(t, http.StatusOK, status)
			require.Equal(t, c.want, whose(wf.Metadata.Labels), name)
			status = b.as(t, nobody, "GET", "/api/v1/workflows/default/"+name, "", &wf)
			require.Equal(t, http.StatusOK, status)
			require.Equal(t, c.want, whose(wf.Metadata.Labels), name)
		}
	}
	var list struct{ Items []any }
	require.Equal(t, http.StatusOK, b.as(t, nobody, "GET", "/api/v1/workflows/default?listOptions.labelSelector=workflows.argoproj.io/creator=team-alice", "", &list))
	require.Len(t, list.Items, 2)
	var me userInfo
	require.Equal(t, http.StatusOK, b.as(t, alice, "GET", "/api/v1/userinfo", "", &me))
	require.Equal(t, userInfo{"team:alice", "team:alice", "alice@example.com"}, me)

	internal, err := b.service.Submit(t.Context(), "default", []byte(strings.ReplaceAll(pretended, "NAME", "internal")), SubmitOptions{})
	require.NoError(t, err)
	require.Equal(t, map[string]string{"creator": "root", "creator-email": "root"}, whose(internal.Labels), "a schedule's runs are its creator's")
}

func TestObjectsAreLabelledWithWhoMadeAndChangedThem(t *testing.T) {
	t.Parallel()
	b := newBench(t, "a name=alice", "b name=bob email=b@x")
	const doc = `{"template":{"metadata":{"name":"t"},"spec":{"templates":[{"name":"x","container":{"image":"i"}}]}}}`
	var o struct {
		Metadata struct{ Labels map[string]string }
	}
	require.Equal(t, http.StatusOK, b.as(t, "a", "POST", "/api/v1/workflow-templates/default", doc, &o))
	require.Equal(t, map[string]string{"creator": "alice"}, whose(o.Metadata.Labels))
	changed := strings.Replace(doc, `"name":"t"`, `"name":"t","labels":{"workflows.argoproj.io/creator":"alice"}`, 1)
	o.Metadata.Labels = nil
	require.Equal(t, http.StatusOK, b.as(t, "b", "PUT", "/api/v1/workflow-templates/default/t", changed, &o))
	require.Equal(t, map[string]string{"creator": "alice", "actor": "bob", "actor-email": "b.at.x", "action": "Update"}, whose(o.Metadata.Labels))
}

func TestASignalSaysWhoSentIt(t *testing.T) {
	t.Parallel()
	for path, action := range map[string]string{"suspend": "Suspend", "stop": "Stop", "terminate": "Terminate"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			ctx := withUser(t.Context(), User{Name: "alice"})
			b := newQuietBench()
			r := b.submit(t, "default", "x")
			do := map[string]func(context.Context) error{
				"suspend":   func(ctx context.Context) error { _, err := b.service.Suspend(ctx, "default", "x"); return err },
				"stop":      func(ctx context.Context) error { _, err := b.service.Stop(ctx, "default", "x", ""); return err },
				"terminate": func(ctx context.Context) error { _, err := b.service.Terminate(ctx, "default", "x"); return err },
			}[path]
			until, cancel := context.WithTimeout(ctx, time.Millisecond) // the fake run hears nothing
			defer cancel()
			_ = do(until)
			b.store.mu.Lock()
			defer b.store.mu.Unlock()
			require.Equal(t, map[string]string{labelActor: "alice", labelAction: action}, b.store.signals[0].By)
			r.State.By = b.store.signals[0].By
			require.Equal(t, action, labelsOf(r)[labelAction])
		})
	}
}
