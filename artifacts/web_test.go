package artifacts_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/artifacts"
)

func TestAURLIsReadAndWritten(t *testing.T) {
	t.Parallel()
	var kept string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		switch {
		case user != "me" || password != "secret" || r.Header.Get("X-Kind") != "test":
			w.WriteHeader(http.StatusForbidden)
		case r.URL.Path == "/none":
			w.WriteHeader(http.StatusNotFound)
		case r.URL.Path == "/busy":
			w.WriteHeader(http.StatusServiceUnavailable)
		case r.Method == http.MethodPut:
			data, _ := io.ReadAll(r.Body)
			kept = string(data)
		default:
			io.WriteString(w, kept) //nolint:errcheck // the client notices
		}
	}))
	t.Cleanup(server.Close)
	at := func(path string) *artifacts.Web {
		return &artifacts.Web{
			URL: server.URL + path, Header: http.Header{"X-Kind": {"test"}}, User: "me", Password: "secret", Client: server.Client(),
		}
	}
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "out"), []byte("made\n"), 0o600))
	_, err := artifacts.Save(t.Context(), at("/a"), "key", filepath.Join(dir, "out"), artifacts.Archive{})
	require.NoError(t, err)
	require.NotEqual(t, "made\n", kept, "it was to be packed")
	require.NoError(t, artifacts.Load(t.Context(), at("/a"), "key", filepath.Join(dir, "in")))
	got, err := os.ReadFile(filepath.Join(dir, "in"))
	require.NoError(t, err)
	require.Equal(t, "made\n", string(got))

	for path, want := range map[string]error{"/none": artifacts.ErrNotFound, "/busy": artifacts.ErrAway} {
		_, err := at(path).Get(t.Context(), "key")
		require.ErrorIs(t, err, want, path)
		require.ErrorIs(t, at(path).Put(t.Context(), "key", strings.NewReader(""), 0), want, path)
	}
	stranger := at("/a")
	stranger.Password = "guess"
	_, err = stranger.Get(t.Context(), "key")
	require.ErrorContains(t, err, "403 Forbidden")
	require.NotErrorIs(t, err, artifacts.ErrAway)

	broken := errors.New("the step's file broke")
	require.ErrorIs(t, at("/a").Put(t.Context(), "key", io.MultiReader(strings.NewReader("x"), failing{broken}), -1), broken)
	for _, url := range []string{"", "ftp://host/file", "file:///etc/passwd"} {
		w := &artifacts.Web{URL: url, Client: server.Client()}
		_, err := w.Get(t.Context(), "key")
		require.ErrorContains(t, err, "is neither http nor https", url)
		require.NotErrorIs(t, err, artifacts.ErrAway)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
