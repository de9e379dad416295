package server

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// pages reads all pages of a run's nodes.
func (b *bench) pages(t *testing.T, name string, o NodeOptions) []spec.NodeStatus {
	t.Helper()
	var all []spec.NodeStatus
	for {
		page, err := b.service.Nodes(t.Context(), "default", name, o)
		require.NoError(t, err)
		require.LessOrEqual(t, len(page.Items), o.Limit)
		all = append(all, page.Items...)
		if o.Continue = page.Continue; o.Continue == "" {
			return all
		}
	}
}

// bare is what a page tells of a node.
func bare(n spec.NodeStatus) spec.NodeStatus {
	n.Children, n.OutboundNodes = nil, nil
	if n.Type != spec.NodeTypePod {
		n.Progress = ""
	}
	return n
}

func timeless(n spec.NodeStatus) spec.NodeStatus {
	n.StartedAt, n.FinishedAt, n.HostNodeName = metav1.Time{}, metav1.Time{}, ""
	return n
}

func names(nodes []spec.NodeStatus) []string {
	out := []string{}
	for _, n := range nodes {
		out = append(out, n.Name)
	}
	return out
}

func TestAFewNodesAreShownAlikeHoweverTheyAreKept(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.run(t, "deep", deepSpec, -1).finish()
	plain, err := b.service.Get(t.Context(), "default", "deep", "")
	require.NoError(t, err)
	require.Greater(t, len(plain.Status.Nodes), 100)
	for _, chunkFrom := range []int{1, 4} {
		c := newBench(t)
		c.run(t, "deep", deepSpec, chunkFrom).finish()
		require.NotEmpty(t, c.store.items)
		chunks, err := c.service.Get(t.Context(), "default", "deep", "")
		require.NoError(t, err)
		require.Empty(t, chunks.Annotations[workflow.LoopsAnnotation])
		require.Equal(t, plain.Status.Progress, chunks.Status.Progress)
		require.ElementsMatch(t, slices.Collect(maps.Keys(plain.Status.Nodes)), slices.Collect(maps.Keys(chunks.Status.Nodes)))
		for id, n := range plain.Status.Nodes {
			require.Equal(t, timeless(n), timeless(chunks.Status.Nodes[id]))
		}
	}
}

func TestPagesHaveEveryNodeOnceAndInOrder(t *testing.T) {
	t.Parallel()
	for _, chunkFrom := range []int{-1, 1, 4} {
		b := newBench(t)
		b.run(t, "deep", deepSpec, chunkFrom).finish()
		wf, err := b.service.Get(t.Context(), "default", "deep", "")
		require.NoError(t, err)
		want := map[string]spec.NodeStatus{}
		phases := map[spec.NodePhase][]string{}
		for _, n := range wf.Status.Nodes {
			if n.Type != spec.NodeTypeStepGroup {
				want[n.Name] = bare(n)
				phases[n.Phase] = append(phases[n.Phase], n.Name)
			}
		}
		require.Len(t, phases, 3)
		var order []string
		for _, large := range []bool{false, true} {
			b.store.large = large
			for _, limit := range []int{1, 3, 7, 1000} {
				all := b.pages(t, "deep", NodeOptions{Limit: limit})
				require.Len(t, all, len(want))
				for _, n := range all {
					require.Equal(t, want[n.Name], n)
				}
				if order == nil {
					order = names(all)
				}
				require.Equal(t, order, names(all), "chunks from %d, limit %d", chunkFrom, limit)
				for phase, some := range phases {
					require.ElementsMatch(t, some, names(b.pages(t, "deep", NodeOptions{Limit: limit, Phases: []spec.NodePhase{phase}})))
				}
			}
			under := names(b.pages(t, "deep", NodeOptions{Limit: 2, Under: "deep[1].d.z(1:of 3)"}))
			at := slices.Index(order, "deep[1].d.z(1:of 3)")
			require.Equal(t, order[at:at+len(under)], under)
			require.Equal(t, "deep[1].d.z(2:fo/ur)", order[at+len(under)])
		}
	}
}

func TestANodeIsFoundByNameIDAndPodName(t *testing.T) {
	t.Parallel()
	for _, chunkFrom := range []int{-1, 1} {
		b := newBench(t)
		b.run(t, "deep", deepSpec, chunkFrom).finish()
		for _, large := range []bool{false, true} {
			b.store.large = large
			for _, n := range b.pages(t, "deep", NodeOptions{Limit: 1000}) {
				ways := []string{n.Name, n.ID}
				if n.Type == spec.NodeTypePod {
					ways = append(ways, workflow.PodName("deep", n.TemplateName, workflow.Root.Child(n.Name[len("deep"):])))
				}
				for _, way := range ways {
					page, err := b.service.Nodes(t.Context(), "default", "deep", NodeOptions{Limit: 1, Under: way})
					require.NoError(t, err, way)
					require.Equal(t, []spec.NodeStatus{n}, page.Items, way)
				}
			}
			for _, nothing := range []string{"deep[0].a(99:99)", "deep[0].a(3:4)", "deep[0].a(3:3)(7)", "deep[0]", "deep-1", "other", "deep.x", "deep[1].d.x", "deep[1].d.x-yz"} {
				_, err := b.service.Nodes(t.Context(), "default", "deep", NodeOptions{Under: nothing})
				var e *Error
				require.ErrorAs(t, err, &e, nothing)
				require.Equal(t, CodeNotFound, e.Code)
			}
		}
	}
}

func TestItemsOfAChunkUnderWayWaitAndTheFirstRunsOnceAWorkerHasIt(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	e := b.run(t, "wide", wideSpec(100), 1)
	e.fails = func(workflow.Key) bool { return false }
	d := e.turn()
	first, second := d.Dispatch[0], d.Dispatch[1]
	e.turn(e.items(first, 5))
	_ = e.items(first, 6) // recorded, and not counted yet
	b.store.do(func() { e.r.Held = map[workflow.Key]bool{first: true, second: false} })
	phase := map[string]spec.NodePhase{}
	wf, err := b.service.Get(t.Context(), "default", "wide", "")
	require.NoError(t, err)
	for _, n := range wf.Status.Nodes {
		phase[n.Name] = n.Phase
	}
	for name, want := range map[string]spec.NodePhase{
		"wide[0].a(5:5)": spec.NodeSucceeded, "wide[0].a(5:5)(0)": spec.NodeSucceeded,
		"wide[0].a(6:6)": spec.NodeRunning, "wide[0].a(6:6)(0)": spec.NodeRunning,
		"wide[0].a(7:7)": spec.NodeRunning, "wide[0].a(7:7)(0)": spec.NodePending,
		"wide[0].a(99:99)(0)": "", "wide[0].a(99:99)": "",
	} {
		require.Equal(t, want, phase[name], name)
	}
	running := names(b.pages(t, "wide", NodeOptions{Limit: 100, Phases: []spec.NodePhase{spec.NodeRunning}}))
	require.Contains(t, running, "wide[0].a(6:6)(0)")
	require.NotContains(t, running, "wide[0].a(7:7)(0)")
}

func TestALargeRunIsShownInPart(t *testing.T) {
	t.Parallel()
	for name, chunkFrom := range map[string]int{"chunked": 1, "plain": -1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const items = 6_000
			b := newBench(t)
			e := b.run(t, "wide", wideSpec(items), chunkFrom)
			e.view.Limits.InFlight = 0
			bad := map[int]bool{17: true, 18: true, 900: true, items - 2: true}
			e.fails = func(k workflow.Key) bool {
				item, _ := k.Parent()
				return bad[item.Item()]
			}
			e.finish()
			b.store.read, b.store.packed = 0, 0
			wf, err := b.service.Get(t.Context(), "default", "wide", "")
			require.NoError(t, err)
			require.LessOrEqual(t, len(wf.Status.Nodes), maxShown)
			require.Less(t, b.store.read+b.store.packed/recordCost, 3000, "what it reads does not grow with the run")
			require.EqualValues(t, fmt.Sprintf("%d/%d", items+5-8, items+5), wf.Status.Progress, "four items failed twice")
			require.Equal(t, wf.Status.Progress, wf.Status.Nodes["wide"].Progress)
			for _, i := range []int{0, 17, 18, 900, items - 2, items - 1} {
				require.Contains(t, wf.Status.Nodes, workflow.NodeID("wide", fmt.Sprintf("wide[0].a(%d:%d)(0)", i, i)))
			}
			for _, n := range wf.Status.Nodes {
				for _, id := range append(n.Children, n.OutboundNodes...) {
					require.Contains(t, wf.Status.Nodes, id, "a link of %s leads nowhere", n.Name)
				}
			}
			require.Equal(t, workflow.NodesCut, wf.Status.Conditions[0].Type)
			var loops []workflow.Loop
			require.NoError(t, json.Unmarshal([]byte(wf.Annotations[workflow.LoopsAnnotation]), &loops))
			require.Equal(t, []workflow.Loop{{
				Name: "wide[0].a", Template: "leaf", Phase: spec.NodeFailed,
				LoopCounts: workflow.LoopCounts{Items: items, Succeeded: items - 4, Failed: 4},
			}}, loops)
			require.Empty(t, e.r.Run.Annotations)

			b.store.read, b.store.packed = 0, 0
			page, err := b.service.Nodes(t.Context(), "default", "wide", NodeOptions{Limit: 10, Under: "wide[0].a(5000:5000)"})
			require.NoError(t, err)
			require.Equal(t, []string{"wide[0].a(5000:5000)", "wide[0].a(5000:5000)(0)"}, names(page.Items))
			require.Less(t, b.store.read+b.store.packed, 100)
			require.Len(t, b.pages(t, "wide", NodeOptions{Limit: 1000}), 2*items+4+1+2)
		})
	}
}

func TestPagesOfNodesAreAskedForByQuery(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.run(t, "deep", deepSpec, 1).finish()
	get := func(query string) (int, []byte) {
		w := httptest.NewRecorder()
		b.handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://localhost/api/v1/workflows/default/deep/nodes"+query, nil))
		return w.Code, w.Body.Bytes()
	}
	code, body := get("?phase=Failed,Error&limit=2&fields=items.name,metadata.continue")
	require.Equal(t, http.StatusOK, code)
	var page NodeList
	require.NoError(t, json.Unmarshal(body, &page))
	require.Len(t, page.Items, 2)
	require.NotEmpty(t, page.Continue)
	code, _ = get("?continue=" + page.Continue)
	require.Equal(t, http.StatusOK, code)
	for _, wrong := range []string{"?phase=Gone", "?limit=-1", "?limit=x", "?continue=a", "?continue=1.-2"} {
		code, body = get(wrong)
		require.Equal(t, http.StatusBadRequest, code, "%s: %s", wrong, body)
	}
	code, _ = get("?under=deep.nowhere")
	require.Equal(t, http.StatusNotFound, code)
	// A token that leads out of the tree ends the list.
	code, body = get("?continue=99.1")
	require.Equal(t, http.StatusOK, code)
	require.Contains(t, string(body), `"items":[]`)
}

func TestLogsOfMorePodsThanAreMergedComeInPartsAndAreNotFollowed(t *testing.T) {
	t.Parallel()
	const items = maxLogged + 500
	b := newBench(t)
	e := b.run(t, "wide", wideSpec(items), 1)
	e.fails = func(workflow.Key) bool { return false }
	e.finish()
	loop := workflow.Root.Step(0, "a")
	for _, i := range []int{7, 3, items - 2} {
		item := loop.Child(fmt.Sprintf("(%d:%d)", i, i)).Attempt(0)
		b.logs[item] = []Chunk{{Data: fmt.Appendf(nil, "of %d\n", i)}}
	}
	read := func(o LogOptions) (lines []string) {
		t.Helper()
		feed, err := b.service.Logs(t.Context(), "default", "wide", o)
		require.NoError(t, err)
		require.NoError(t, feed(t.Context(), func(e LogEntry) error { lines = append(lines, e.Content); return nil }))
		return lines
	}
	require.Equal(t, []string{"of 3", "of 7", fmt.Sprintf("of %d", items-2)}, read(LogOptions{Tail: -1}))
	require.Equal(t, []string{"of 7"}, read(LogOptions{Tail: -1, PodName: "wide[0].a(7:7)", Follow: true}))
	b.store.do(func() { e.r.State.Phase, e.r.State.Finished = spec.WorkflowRunning, 0 })
	_, err := b.service.Logs(t.Context(), "default", "wide", LogOptions{Tail: -1, Follow: true})
	var refusal *Error
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, CodePrecondition, refusal.Code)
}
