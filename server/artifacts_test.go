package server

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// fakeArtifacts are objects by key, of which those below another one are a directory's.
type fakeArtifacts map[string]string

func (f fakeArtifacts) List(_ context.Context, _ *ArtifactsOf, a *spec.Artifact) ([]string, error) {
	if _, ok := f[a.S3.Key]; ok {
		return []string{""}, nil
	}
	var names []string
	for _, key := range slices.Sorted(maps.Keys(f)) {
		if name, ok := strings.CutPrefix(key, a.S3.Key+"/"); ok {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, a.S3.Key)
	}
	return names, nil
}

func (f fakeArtifacts) Open(_ context.Context, _ *ArtifactsOf, a *spec.Artifact, object string) (io.ReadCloser, error) {
	key := a.S3.Key
	if object != "" {
		key += "/" + object
	}
	return io.NopCloser(strings.NewReader(f[key])), nil
}

func (f fakeArtifacts) Pack(_ context.Context, _ *ArtifactsOf, a *spec.Artifact, w io.Writer) error {
	_, err := io.WriteString(w, "packed "+a.S3.Key)
	return err
}

func at(name, key string) spec.Artifact {
	a := spec.Artifact{Name: name}
	a.S3 = &spec.S3Artifact{Key: key}
	return a
}

func TestArtifactsAreServedAsArgoServesThem(t *testing.T) {
	t.Parallel()
	b := newBench(t, "secret")
	b.service.artifacts = fakeArtifacts{
		"k/one.txt": "one", "k/in": "input", "k/dir/a<b.txt": "ab", "k/dir/sub/c": "c", "k/dir/page/index.html": "<p>", "k/dir/page/x.png": "png",
	}
	r := b.submit(t, "default", "wf")
	raw := spec.Artifact{Name: "raw"}
	raw.Raw = &spec.RawArtifact{Data: "as it is"}
	b.store.do(func() {
		r.Complete = true
		r.Nodes = map[workflow.Key]*workflow.Node{workflow.Root: {
			Key: workflow.Root, Type: spec.NodeTypePod, Template: "main", Phase: spec.NodeSucceeded,
			Inputs:  &workflow.Values{Artifacts: []spec.Artifact{at("in", "k/in"), raw}},
			Outputs: &workflow.Values{Artifacts: []spec.Artifact{at("one", "k/one.txt"), at("dir", "k/dir"), at("gone", "k/gone")}},
		}}
	})
	files := "/artifact-files/default/workflows/wf/wf/outputs/"
	for _, c := range []struct {
		path   string
		status int
		body   string
		file   string
	}{
		{"/artifacts/default/wf/wf/one", 200, "one", "one.txt"},
		{"/artifacts-by-uid/" + r.Run.ID + "/wf/one", 200, "one", "one.txt"},
		{"/artifacts/default/wf/wf/dir", 200, "packed k/dir", "dir.tgz"},
		{"/input-artifacts/default/wf/wf/in", 200, "input", "in"},
		{"/input-artifacts/default/wf/wf/raw", 200, "as it is", "raw"},
		{"/input-artifacts-by-uid/" + r.Run.ID + "/wf/in", 200, "input", "in"},
		{files + "one", 200, "one", "one.txt"},
		{"/artifact-files/default/archived-workflows/" + r.Run.ID + "/wf/inputs/in", 200, "input", "in"},
		{files + "dir/sub/c", 200, "c", "c"},
		{files + "dir/page/", 200, "<p>", "index.html"},
		{files + "dir/page", 200, "<p>", "index.html"}, // by way of a redirect
		{files + "dir/page/x.png", 200, "png", "x.png"},
		{files + "dir", 200, `<a href="./a%3cb.txt">a&lt;b.txt</a>`, "index.html"},
		{files + "dir/", 200, `<a href="./sub/">sub/</a>`, "index.html"},
		{files + "dir/none", 404, "", ""},
		{files + "one/none", 404, "", ""},
		{files + "gone", 404, "", ""},
		{"/artifacts/default/wf/wf/none", 404, "", ""},
		{"/artifacts/default/wf/wf-123/one", 404, "", ""},
		{"/artifacts/default/none/wf/one", 404, "", ""},
		{"/artifacts-by-uid/none/wf/one", 404, "", ""},
		{"/artifact-files/other/archived-workflows/" + r.Run.ID + "/wf/inputs/in", 404, "", ""},
		{"/artifact-files/default/runs/wf/wf/outputs/one", 400, "", ""},
		{"/artifact-files/default/workflows/wf/wf/both/one", 400, "", ""},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.URL+c.path, nil)
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer secret")
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, c.status, res.StatusCode, "%s: %s", c.path, body)
		if c.status == 200 {
			require.Contains(t, string(body), c.body, c.path)
			require.Contains(t, res.Header.Get("Content-Disposition"), "filename="+c.file, c.path)
			require.Contains(t, res.Header.Get("Content-Security-Policy"), "sandbox; base-uri 'none'", c.path)
		}
	}
	require.Equal(t, 401, ask(t, "GET", b.URL+files+"one", "").status)
	b.service.artifacts = nil
	require.Equal(t, 501, ask(t, "GET", b.URL+files+"one", "", "Authorization", "Bearer secret").status)
}

func TestAnArtifactThatBreaksOffIsNotTakenForWhole(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.service.artifacts = broken{fakeArtifacts{"k/one": "one"}}
	r := b.submit(t, "default", "wf")
	b.store.do(func() {
		r.Complete = true
		r.Nodes = map[workflow.Key]*workflow.Node{workflow.Root: {
			Key: workflow.Root, Type: spec.NodeTypePod, Template: "main", Outputs: &workflow.Values{Artifacts: []spec.Artifact{at("one", "k/one")}},
		}}
	})
	res, err := http.Get(b.URL + "/artifacts/default/wf/wf/one")
	if err == nil {
		_, err = io.ReadAll(res.Body)
		require.NoError(t, res.Body.Close())
	}
	require.Error(t, err)
}

type broken struct{ fakeArtifacts }

func (b broken) Open(ctx context.Context, of *ArtifactsOf, a *spec.Artifact, object string) (io.ReadCloser, error) {
	in, err := b.fakeArtifacts.Open(ctx, of, a, object)
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(in, iotest.ErrReader(io.ErrUnexpectedEOF)), in}, err
}
