package workflow_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// failing answers every attempt with an exit code, a second after it began.
func failing(e *engine, code int) {
	e.act = func(*workflow.Node, *spec.Template) *workflow.Result {
		return &workflow.Result{
			Phase: spec.NodeFailed, Message: "Error (exit code 7)", Outputs: &workflow.Values{ExitCode: &code},
			Started: workflow.At(e.now), Finished: workflow.At(e.now.Add(time.Second)),
		}
	}
}

func TestARetryWaitsBeforeItIsMade(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		strategy string
		waits    []time.Duration
		message  string
	}{
		"factor":      {`{limit: 3, backoff: {duration: "10", factor: 2}}`, []time.Duration{10 * time.Second, 20 * time.Second, 40 * time.Second}, "No more retries left"},
		"no factor":   {`{limit: 2, backoff: {duration: 2m}}`, []time.Duration{2 * time.Minute, 2 * time.Minute}, "No more retries left"},
		"cap":         {`{limit: 3, backoff: {duration: 10s, factor: 3, cap: 25s}}`, []time.Duration{10 * time.Second, 25 * time.Second, 25 * time.Second}, "No more retries left"},
		"maxDuration": {`{limit: 9, backoff: {duration: 10s, factor: 2, maxDuration: 45s}}`, []time.Duration{10 * time.Second, 20 * time.Second}, "Backoff would exceed max duration limit"},
		"too late":    {`{limit: 9, backoff: {duration: 1s, maxDuration: 1ms}}`, nil, "Max duration limit exceeded"},
		"expression":  {`{expression: "asInt(lastRetry.exitCode) < 7"}`, nil, "retryStrategy.expression evaluated to false"},
		"policy":      {`{limit: 9, retryPolicy: OnError, backoff: {duration: 1s}}`, nil, "Error (exit code 7)"},
		"once":        {`{expression: "lastRetry.status == 'Failed' && asInt(lastRetry.duration) == 1 && retries == '0'"}`, []time.Duration{0}, "retryStrategy.expression evaluated to false"},
		"bad number":  {`{limit: 9, backoff: {duration: "{{inputs.parameters.text}}"}}`, nil, `retryStrategy.backoff.duration: "soon" is neither seconds nor a duration`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEngine(t, head+`
  - name: main
    inputs: {parameters: [{name: text, value: soon}]}
    retryStrategy: `+tt.strategy+`
    container: {image: busybox, command: [echo]}
`)
			failing(e, 7)
			e.turn()
			for _, wait := range tt.waits {
				require.Len(t, e.queue, 1)
				k := e.queue[0]
				e.queue = nil
				answer := e.answer(k)
				d := e.turn(answer)
				if wait == 0 {
					continue
				}
				require.True(t, strings.HasPrefix(e.node("wf").Message, "Backoff for "), e.node("wf").Message)
				require.Empty(t, e.queue)
				require.Equal(t, []workflow.Timer{{Key: workflow.Root, Name: "retry", At: answer.Result.Finished + workflow.Millis(wait.Milliseconds())}}, d.Timers)
				require.Equal(t, 1, e.view.State.Held)
				e.now = d.Timers[0].At.Time()
				e.turn(workflow.Event{Kind: workflow.EventTimer, Key: workflow.Root, Timer: "retry"})
				require.Zero(t, e.view.State.Held)
			}
			require.Len(t, e.queue, 1)
			d := e.turn(e.answer(e.queue[0]))
			require.True(t, d.Finished(), e.dump())
			require.Equal(t, tt.message, e.view.State.Message)
			require.Len(t, e.view.Nodes, 2+len(tt.waits))
		})
	}
}

func TestAnAttemptKnowsHowTheOneBeforeItEnded(t *testing.T) {
	t.Parallel()
	e := newEngine(t, head+`
  - name: main
    retryStrategy: {limit: 1}
    container: {image: busybox, command: [echo], args: ["{{retries}} {{lastRetry.exitCode}} {{lastRetry.status}} {{lastRetry.duration}} {{lastRetry.message}}"]}
`)
	failing(e, 7)
	fail, seen := e.act, []string{}
	e.act = func(n *workflow.Node, tmpl *spec.Template) *workflow.Result {
		seen = append(seen, tmpl.Container.Args[0])
		return fail(n, tmpl)
	}
	e.run(inOrder)
	require.Equal(t, []string{"0 0  0 ", "1 7 Failed 1 Error (exit code 7)"}, seen)
}

func TestAStopEndsWhatWaitsForItsNextAttempt(t *testing.T) {
	t.Parallel()
	for _, partial := range []bool{false, true} {
		e := newEngine(t, head+`
  - name: main
    steps: [[{name: a, template: flaky, withItems: [1, 2]}]]
  - name: flaky
    retryStrategy: {backoff: {duration: 1h}}
    container: {image: busybox, command: [echo]}
`)
		e.partial = partial
		failing(e, 7)
		e.turn()
		e.turn(e.answer(e.queue[0]), e.answer(e.queue[1]))
		require.Equal(t, "Backoff for 1 hours 0 minutes", e.node("wf[0].a(0:1)").Message)
		d := e.turn(stop)
		require.True(t, d.Finished(), e.dump())
		require.Equal(t, "Stopped with strategy 'Stop'", e.node("wf[0].a(0:1)").Message)
		require.Equal(t, spec.NodeFailed, e.node("wf[0].a(1:2)").Phase)
		require.Equal(t, []workflow.Timer{{Key: "/[0].a/(0:1)", Name: "retry"}, {Key: "/[0].a/(1:2)", Name: "retry"}}, d.Timers)
	}
}

func TestAWorkflowsRetryStrategyIsThatOfEveryTemplateWithoutOne(t *testing.T) {
	t.Parallel()
	e := newEngine(t, `
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: wf}
spec:
  entrypoint: main
  retryStrategy: {limit: 1}
  templates:
  - name: main
    steps: [[{name: a, template: own}, {name: b, template: leaf}]]
  - name: own
    retryStrategy: {limit: 0}
    container: {image: busybox, command: [echo]}
  - name: leaf
    container: {image: busybox, command: [echo]}
`)
	e.run(inOrder)
	require.Equal(t, map[string]string{
		"wf": "Succeeded", "wf(0)": "Succeeded", "wf(0)[0].a": "Succeeded", "wf(0)[0].a(0)": "Succeeded",
		"wf(0)[0].b": "Succeeded", "wf(0)[0].b(0)": "Succeeded",
	}, e.phases())
}
