package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"argosy/workflow/spec"
)

const bindings = "/api/v1/workflow-event-bindings/default"

func binding(name, selector, submit string) string {
	if submit != "" {
		submit = `,"submit":` + submit
	}
	return fmt.Sprintf(`{"workflowEventBinding":{"metadata":{"name":%q},"spec":{"event":{"selector":%q}%s}}}`, name, selector, submit)
}

// post sends an event with a header.
func (b *bench) post(t *testing.T, discriminator, payload string) int {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, b.URL+"/api/v1/events/default/"+discriminator, strings.NewReader(payload))
	require.NoError(t, err)
	r.Header.Set("X-Kind", "push")
	r.Header.Set("Authorization", "Bearer secret")
	a, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	require.NoError(t, a.Body.Close())
	return a.StatusCode
}

// serve serves the events that came in, and none that come later.
func (b *bench) serve(t *testing.T) {
	t.Helper()
	take, stop := context.WithCancel(t.Context())
	stop()
	b.service.ServeEvents(take, t.Context())
}

func TestEventsSubmitWhatBindingsWant(t *testing.T) {
	t.Parallel()
	template := `"workflowTemplateRef":{"name":"t"}`
	for name, tc := range map[string]struct {
		binding, discriminator, payload string
		check                           func(t *testing.T, made []*Record)
	}{
		"a part of the payload": {
			binding("b", `payload.kind == "x" && discriminator == "d" && metadata["x-kind"] == ["push"] && namespace == "default"`,
				`{`+template+`,"arguments":{"parameters":[{"name":"who","valueFrom":{"event":"payload.list[1]"}},{"name":"o","valueFrom":{"event":"payload.object"}},{"name":"n","valueFrom":{"event":"payload.none.at.all","default":"d"}}]}}`),
			"d", `{"kind":"x","list":["a","b"],"object":{"n":1,"m":[true]}}`,
			func(t *testing.T, made []*Record) {
				require.Len(t, made, 1)
				run := made[0].Run
				require.Regexp(t, `^t-\d+$`, run.Name)
				require.Equal(t, "b", run.Labels["workflows.argoproj.io/workflow-event-binding"])
				require.Equal(t, "t", run.Labels["workflows.argoproj.io/workflow-template"])
				values := map[string]string{}
				for _, p := range run.Arguments.Parameters {
					values[p.Name] = p.Value.String()
				}
				require.Equal(t, map[string]string{"who": "b", "o": `{"m":[true],"n":1}`, "n": "d"}, values)
			},
		},
		"metadata by expressions": {
			binding("b", "true", `{`+template+`,"metadata":{"generateName":"payload.n + '-'","labels":{"l":"payload.n"},"annotations":{"a":"string(payload.i)"}}}`), "", `{"n":"of-it","i":4}`,
			func(t *testing.T, made []*Record) {
				require.Len(t, made, 1)
				require.Regexp(t, `^of-it-\d+$`, made[0].Run.Name)
				require.Equal(t, "of-it", made[0].Run.Labels["l"])
				require.Equal(t, "4", made[0].Run.Annotations["a"])
			},
		},
		"a name": {
			binding("b", "true", `{`+template+`,"metadata":{"name":"payload.n"}}`), "", `{"n":"mine"}`,
			func(t *testing.T, made []*Record) {
				require.Len(t, made, 1)
				require.Equal(t, "mine", made[0].Run.Name)
			},
		},
		"none of its business":      {binding("b", `payload.kind == "y"`, `{`+template+`}`), "", `{"kind":"x"}`, none},
		"credentials are not shown": {binding("b", `"authorization" in metadata`, `{`+template+`}`), "", `{}`, none},
		"no selector":               {binding("b", ``, `{`+template+`}`), "", `{}`, none},
		"no condition":              {binding("b", `payload.kind`, `{`+template+`}`), "", `{"kind":"x"}`, none},
		"nothing to submit":         {binding("b", `true`, ``), "", `{}`, none},
		"no such template":          {binding("b", `true`, `{"workflowTemplateRef":{"name":"none"}}`), "", `{}`, none},
		"an argument of nothing":    {binding("b", `true`, `{`+template+`,"arguments":{"parameters":[{"name":"who"}]}}`), "", `{}`, none},
		"a label of no text":        {binding("b", `true`, `{`+template+`,"metadata":{"labels":{"l":"1"}}}`), "", `{}`, none},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			object(t, ask(t, "POST", b.URL+templates, stored(`{"name":"t"}`)))
			object(t, ask(t, "POST", b.URL+bindings, tc.binding))
			require.Equal(t, 200, b.post(t, tc.discriminator, tc.payload))
			b.serve(t)
			var made []*Record
			for _, r := range b.store.runs {
				made = append(made, r)
			}
			tc.check(t, made)
			require.Equal(t, 503, b.post(t, "", "{}"), "it is shutting down")
		})
	}
}

func none(t *testing.T, made []*Record) {
	t.Helper()
	require.Empty(t, made)
}

func TestEventsAreRefusedWhenTooManyWait(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	object(t, ask(t, "POST", b.URL+templates, stored(`{"name":"t"}`)))
	object(t, ask(t, "POST", b.URL+bindings, binding("b", "true", `{"workflowTemplateRef":{"name":"t"}}`)))
	for range eventsWaiting {
		require.Equal(t, 200, b.post(t, "", `{"a":1}`))
	}
	a := ask(t, "POST", b.URL+"/api/v1/events/default/d", `{}`)
	require.Equal(t, 503, a.status)
	require.Equal(t, "operation queue full", a.Message)
	require.Equal(t, 400, ask(t, "POST", b.URL+"/api/v1/events/default/d", `{`).status)
	b.serve(t)
	require.Len(t, b.store.runs, eventsWaiting, "each has a name of its own")
}

func TestAnEventWaitsForAStoreThatIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newQuietBench()
		put := func(kind, body string) {
			t.Helper()
			var fields map[string]json.RawMessage
			require.NoError(t, json.Unmarshal([]byte(body), &fields))
			k := kindOf(kind)
			_, err := b.service.CreateObject(t.Context(), k, "default", fields[k.Field], false)
			require.NoError(t, err)
		}
		put(spec.KindWorkflowTemplate, stored(`{"name":"t"}`))
		put(spec.KindWorkflowEventBinding, binding("b", "true", `{"workflowTemplateRef":{"name":"t"}}`))
		b.store.do(func() { b.store.failed = fmt.Errorf("away") })
		require.NoError(t, b.service.Receive(Event{Namespace: "default"}))
		take, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { b.service.ServeEvents(take, t.Context()); close(done) }()
		synctest.Wait()
		b.store.do(func() { b.store.failed = nil })
		stop()
		<-done
		require.Len(t, b.store.runs, 1)
	})
}
