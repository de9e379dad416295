package workflow_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/workflow"
	"argosy/workflow/spec"
)

const memoized = head + `
  - name: main
    steps:
    - - name: a
        template: one
        arguments: {parameters: [{name: k, value: KEY}]}
    - - {name: b, template: echo, arguments: {parameters: [{name: text, value: "{{steps.a.outputs.parameters.out}}"}]}}
  - name: one
    inputs: {parameters: [{name: k}]}
    memoize: {key: "k-{{inputs.parameters.k}}", maxAge: 10s, cache: {configMap: {name: c}}}
    outputs: {parameters: [{name: out, valueFrom: {path: /tmp/out}}]}
    container: {image: busybox, args: ["computed"]}
`

func remembered(k workflow.Key, m *workflow.Memo) workflow.Event {
	return workflow.Event{Kind: workflow.EventMemo, Key: k, Memo: m}
}

func TestWhatIsKeptUnderAKeyIsNotDoneAgain(t *testing.T) {
	t.Parallel()
	const k = workflow.Key("/[0].a")
	out := &workflow.Values{Parameters: []workflow.Param{{Name: "out", Value: "kept"}}}
	tests := []struct {
		name string
		age  time.Duration // of what is kept
		none bool
		hit  bool
	}{
		{"young enough", 5 * time.Second, false, true},
		{"too old", time.Minute, false, false},
		{"nothing", 0, true, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := newEngine(t, memoized)
			e.act = echo
			d := e.turn()
			require.Empty(t, d.Dispatch)
			require.Equal(t, []workflow.MemoLoad{{Key: k, Cache: "c", Name: "k-KEY"}}, d.Orders.Memos)
			memo := &workflow.Memo{Node: "other-1", Outputs: out, Created: workflow.At(e.now.Add(time.Second - test.age))}
			if test.none {
				memo = nil
			}
			d = e.turn(remembered(k, memo))
			want := "computed"
			if test.hit {
				want = "kept"
			} else {
				require.Equal(t, []workflow.Key{k}, d.Dispatch)
				e.queue = nil
				d = e.turn(e.answer(k))
				require.Equal(t, []workflow.MemoSave{{Cache: "c", Name: "k-KEY", Memo: workflow.Memo{
					Node: k.ID("wf"), Outputs: e.node("wf[0].a").Outputs, Created: workflow.At(e.now),
				}}}, d.Saves)
			}
			require.Equal(t, &spec.MemoizationStatus{Hit: test.hit, Key: "k-KEY", CacheName: "c"}, workflow.Status(e.view, nil).Nodes[k.ID("wf")].MemoizationStatus)
			require.Equal(t, spec.NodeSucceeded, e.node("wf[0].a").Phase)
			require.Equal(t, spec.NodeTypePod, e.node("wf[0].a").Type)
			value, _ := e.node("wf[0].a").Outputs.Parameter("out")
			require.Equal(t, want, value)
			require.Equal(t, []workflow.Key{"/[1].b"}, e.queue)
			d = e.turn(remembered(k, memo), e.answer("/[1].b")) // told again
			require.True(t, d.Finished())
			require.Equal(t, e.view.State.Total, e.view.State.Done)
			require.Equal(t, 2, e.view.State.Done)
			require.Equal(t, 2, e.view.State.Succeeded)
		})
	}
}

func TestStepsAreMemoizedToo(t *testing.T) {
	t.Parallel()
	for _, retry := range []string{"", "retryStrategy: {limit: 1}"} {
		e := newEngine(t, head+`
  - name: main
    memoize: {key: x, cache: {configMap: {name: c}}}
    synchronization: {mutexes: [{name: m}]}
    `+retry+`
    steps: [[{name: a, template: echo}]]
    outputs: {parameters: [{name: out, valueFrom: {parameter: "{{steps.a.outputs.parameters.out}}"}}]}
`)
		d := e.turn()
		require.Nil(t, d.Orders.Memos, "first come the locks")
		d = e.turn(grantedTo(workflow.Root))
		require.Len(t, d.Orders.Memos, 1)
		d = e.turn(remembered(workflow.Root, &workflow.Memo{Node: "x", Outputs: &workflow.Values{Parameters: []workflow.Param{{Name: "out", Value: "kept"}}}}))
		require.True(t, d.Finished())
		require.Equal(t, spec.NodeTypeSteps, e.node("wf").Type)
		require.Equal(t, workflow.LockFree, d.Orders.Ops[0].Do)
		require.Empty(t, d.Saves)
	}
}

func TestMemoizationThatCannotBe(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{key: "a b", cache: {configMap: {name: c}}}`:          "invalid cache key a b",
		`{key: a, cache: {}}`:                                  "cache could not be found or created",
		`{key: a, maxAge: old, cache: {configMap: {name: c}}}`: `invalid maxAge: "old" is neither seconds nor a duration`,
	} {
		e := newEngine(t, head+`
  - name: main
    steps: [[{name: a, template: one}]]
  - name: one
    memoize: `+text+`
    container: {image: busybox}
`)
		require.True(t, e.turn().Finished())
		require.Equal(t, spec.NodeError, e.node("wf[0].a").Phase)
		require.Equal(t, want, e.node("wf[0].a").Message)
	}
}

func TestAStopEndsWhatWaitsForItsMemo(t *testing.T) {
	t.Parallel()
	e := newEngine(t, memoized)
	e.turn()
	require.True(t, e.turn(stop).Finished())
	require.Equal(t, e.view.State.Total, e.view.State.Done)
	require.Equal(t, spec.NodeFailed, e.node("wf[0].a").Phase)
}
