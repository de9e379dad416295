package server

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// fakeArchive is an Archive beside a store. The real one is behind the tests of cmd/argosy.
type fakeArchive struct {
	*fakeStore
	live *fakeStore
}

func (f *fakeArchive) Page(ctx context.Context, namespace, after string, limit int, live bool, keep func(*Record) bool) ([]*Record, string, error) {
	both := newFakeStore()
	if live {
		for id, r := range f.live.runs {
			both.runs[id] = r
		}
	}
	for id, r := range f.runs {
		if both.runs[id] == nil {
			both.runs[id] = r
		}
	}
	return both.Page(ctx, namespace, after, limit, keep)
}

func (f *fakeArchive) Named(_ context.Context, namespace, name string) (found []*Record, err error) {
	for _, r := range f.runs {
		if r.Run.Namespace == namespace && r.Run.Name == name {
			head := *r
			head.Nodes = nil
			found = append(found, &head)
		}
	}
	return found, f.failed
}

func (f *fakeArchive) Row(ctx context.Context, namespace, id string) (*Record, error) {
	r, err := f.Head(ctx, id)
	if err == nil && namespace != "" && r.Run.Namespace != namespace {
		err = ErrNotFound
	}
	return r, err
}

func (f *fakeArchive) Open(ctx context.Context, _, id string, most int) (*Record, error) {
	r, err := f.Load(ctx, id, most)
	if err == nil {
		r.From = f.fakeStore
	}
	return r, err
}

func (f *fakeArchive) Delete(ctx context.Context, _, id string) error {
	return f.fakeStore.Delete(ctx, id)
}

func (f *fakeArchive) Restore(ctx context.Context, namespace, id string) error {
	r, err := f.Load(ctx, id, maxShown)
	if err != nil {
		return err
	}
	if _, err := f.live.RunID(ctx, namespace, r.Run.Name); err == nil {
		return ErrExists
	}
	r.Archived, r.State.Archiving = false, workflow.ArchivingArchived
	f.live.runs[id] = r
	return nil
}

func (f *fakeArchive) Labels(context.Context) (map[string][]string, error) {
	all := map[string][]string{}
	for _, r := range f.runs {
		for label, value := range r.Run.Labels {
			all[label] = append(all[label], value)
		}
	}
	return all, nil
}

// newArchiveBench has three runs: one, archived and deleted; both, archived; and live.
func newArchiveBench(t *testing.T) (*bench, *fakeArchive) {
	t.Helper()
	b := newBench(t)
	a := &fakeArchive{fakeStore: newFakeStore(), live: b.store}
	b.service.archive = a
	for _, name := range []string{"one", "both", "live"} {
		r := b.accept(t, "default", hello(`{"name":"`+name+`","labels":{"is":"`+name+`"}}`))
		if name == "live" {
			continue
		}
		r.State = workflow.State{Phase: spec.WorkflowSucceeded, Started: r.Run.Created, Finished: r.Run.Created + 1, Archiving: workflow.ArchivingArchived}
		archived := *r
		archived.Archived, archived.State.Archiving = true, workflow.ArchivingPersisted
		archived.Nodes = map[workflow.Key]*workflow.Node{workflow.Root: {Type: spec.NodeTypePod, Template: "main", Phase: spec.NodeSucceeded}}
		a.runs[r.Run.ID] = &archived
		a.specs[r.Digest] = b.store.specs[r.Digest]
		if name == "one" {
			delete(b.store.runs, r.Run.ID)
		}
	}
	return b, a
}

func (b *bench) names(t *testing.T, path string, query url.Values) (names, states []string) {
	t.Helper()
	a := ask(t, "GET", b.URL+path+"?"+query.Encode(), "")
	require.Equal(t, http.StatusOK, a.status, a.body)
	var list spec.WorkflowList
	require.NoError(t, json.Unmarshal([]byte(a.body), &list))
	for i := range list.Items {
		names = append(names, list.Items[i].Name)
		states = append(states, list.Items[i].Labels[labelArchiving])
	}
	return names, states
}

const archivedPath = "/api/v1/archived-workflows"

func TestListsGoOnWithArchivedRuns(t *testing.T) {
	t.Parallel()
	b, _ := newArchiveBench(t)
	names, states := b.names(t, "/api/v1/workflows/default", nil)
	require.Equal(t, []string{"live", "both", "one"}, names)
	require.Equal(t, []string{"", "Archived", "Persisted"}, states)
	for query, want := range map[string][]string{
		"":                                    {"both", "one"},
		"namespace=default":                   {"both", "one"},
		"namespace=other":                     nil,
		"namePrefix=on":                       {"one"},
		"namePrefix=n&nameFilter=Contains":    {"one"},
		"listOptions.limit=1":                 {"both"},
		"listOptions.labelSelector=is%3Dboth": {"both"},
		"listOptions.fieldSelector=metadata.namespace%3Ddefault":                                            {"both", "one"},
		"listOptions.fieldSelector=metadata.namespace%3Ddefault%2Cmetadata.name%3Done":                      {"one"},
		"listOptions.fieldSelector=spec.startedAt%3E2000-01-01T00:00:00Z,ext.showRemainingItemCount%3Dtrue": {"both", "one"},
		"listOptions.fieldSelector=spec.startedAt%3C2000-01-01T00:00:00Z":                                   nil,
	} {
		values, err := url.ParseQuery(query)
		require.NoError(t, err)
		names, _ := b.names(t, archivedPath, values)
		require.Equal(t, want, names, query)
	}
	for query, want := range map[string]string{
		"namespace=a&listOptions.fieldSelector=metadata.namespace%3Db": `'namespace' query param ("a") and fieldselector 'metadata.namespace' ("b") are both specified and contradict each other`,
		"listOptions.fieldSelector=spec.startedAt%3Enow":               "has no RFC 3339 time",
		"listOptions.fieldSelector=other%3Dx":                          "field label not supported: other",
	} {
		a := ask(t, "GET", b.URL+archivedPath+"?"+query, "")
		require.Equal(t, http.StatusBadRequest, a.status)
		require.Contains(t, a.Message, want)
	}
}

func TestARunIsReadWhereItIs(t *testing.T) {
	t.Parallel()
	b, archive := newArchiveBench(t)
	state := func(path string) string {
		a := ask(t, "GET", b.URL+path, "")
		if a.status != http.StatusOK {
			return a.Message
		}
		var wf spec.Workflow
		require.NoError(t, json.Unmarshal([]byte(a.body), &wf))
		require.Equal(t, "main", wf.Spec.Entrypoint)
		return wf.Labels[labelArchiving]
	}
	uid := func(name string) string {
		found, err := archive.Named(t.Context(), "default", name)
		require.NoError(t, err)
		return found[0].Run.ID
	}
	require.Equal(t, "Persisted", state("/api/v1/workflows/default/one"))
	require.Equal(t, "Archived", state("/api/v1/workflows/default/both"))
	require.Contains(t, state("/api/v1/workflows/default/both?uid="+uid("one")), "not found", "that is another's")
	require.Contains(t, state("/api/v1/workflows/default/none"), `workflows.argoproj.io "none" not found`)
	require.Equal(t, "Persisted", state(archivedPath+"/"+uid("both")))
	require.Equal(t, "Persisted", state(archivedPath+"/"+uid("both")+"?namespace=default&name=both"))
	for _, wrong := range []string{"/none", "/" + uid("both") + "?namespace=other", "/" + uid("both") + "?name=one"} {
		require.Equal(t, "not found", state(archivedPath+wrong))
	}
	a := ask(t, "GET", b.URL+"/api/v1/workflows/default/one/nodes", "")
	require.Equal(t, http.StatusOK, a.status, a.body)
	require.Contains(t, a.body, `"phase":"Succeeded"`)
	for _, verb := range []string{"stop", "terminate", "retry", "suspend", "resume"} {
		require.Equal(t, http.StatusNotFound, ask(t, "PUT", b.URL+"/api/v1/workflows/default/one/"+verb, "{}").status, verb)
	}

	one := uid("one")
	require.Equal(t, http.StatusOK, ask(t, "DELETE", b.URL+archivedPath+"/"+one, "").status)
	require.Equal(t, http.StatusNotFound, ask(t, "DELETE", b.URL+archivedPath+"/"+one, "").status)
	require.Contains(t, state("/api/v1/workflows/default/one"), "not found")
}

func TestLabelsOfArchivedRunsAreListed(t *testing.T) {
	t.Parallel()
	b, _ := newArchiveBench(t)
	require.JSONEq(t, `{"items":["is"]}`, ask(t, "GET", b.URL+archivedPath+"-label-keys", "").body)
	values := func(selector string) answer {
		return ask(t, "GET", b.URL+archivedPath+"-label-values?listOptions.labelSelector="+url.QueryEscape(selector), "")
	}
	require.JSONEq(t, `{"items":["both","one"]}`, values("is").body)
	require.JSONEq(t, `{"items":[]}`, values("none").body)
	require.Equal(t, "only allow 1 labelRequirement, found 2", values("is,was").Message)
	require.Equal(t, "only allow 1 labelRequirement, found 0", values("").Message)
	require.Equal(t, "operation = is not supported", values("is=one").Message)
}

func TestAServerWithoutAnArchiveHasNoArchivedRuns(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.submit(t, "default", "live")
	names, _ := b.names(t, archivedPath, nil)
	require.Empty(t, names)
	require.Equal(t, http.StatusNotFound, ask(t, "GET", b.URL+archivedPath+"/x", "").status)
	require.JSONEq(t, `{"items":[]}`, ask(t, "GET", b.URL+archivedPath+"-label-keys", "").body)
}
