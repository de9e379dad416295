package artifacts_test

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/artifacts"
	"argosy/artifacts/archive"
	"argosy/artifacts/artifactstest"
)

func TestDirPassesTheSuite(t *testing.T) {
	artifactstest.Run(t, func(t *testing.T) artifacts.Store {
		root := t.TempDir()
		d, err := artifacts.NewDir(root)
		require.NoError(t, err)
		t.Cleanup(func() {
			left, err := os.ReadDir(filepath.Join(root, "tmp"))
			require.NoError(t, err)
			require.Empty(t, left, "temporary files are left")
			require.NoError(t, d.Close())
		})
		return d
	})
}

func TestDirReadsPartsOfObjects(t *testing.T) {
	d, err := artifacts.NewDir(t.TempDir())
	require.NoError(t, err)
	defer d.Close()
	artifactstest.RunRanges(t, d)
}

func TestS3PassesTheSuite(t *testing.T) {
	server := artifactstest.StartMinIO(t)
	artifactstest.Run(t, func(t *testing.T) artifacts.Store {
		s, err := artifacts.NewS3(server.Bucket())
		require.NoError(t, err)
		return s
	})
	ranged, err := artifacts.NewS3(server.Bucket())
	require.NoError(t, err)
	artifactstest.RunRanges(t, ranged)
	t.Run("presigned addresses", func(t *testing.T) {
		s, err := artifacts.NewS3(server.Bucket())
		require.NoError(t, err)
		presigned(t, s)
	})
}

func presigned(t *testing.T, s *artifacts.S3) {
	do := func(method string, u *url.URL, body io.Reader) (int, string) {
		request, err := http.NewRequestWithContext(t.Context(), method, u.String(), body)
		require.NoError(t, err)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		defer response.Body.Close()
		content, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return response.StatusCode, string(content)
	}
	to, err := s.PresignPut(t.Context(), "a b/c", time.Minute)
	require.NoError(t, err)
	status, _ := do(http.MethodPut, to, strings.NewReader("through the address"))
	require.Equal(t, http.StatusOK, status)
	from, err := s.PresignGet(t.Context(), "a b/c", time.Minute)
	require.NoError(t, err)
	status, content := do(http.MethodGet, from, nil)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "through the address", content)
	status, _ = do(http.MethodPut, from, bytes.NewReader(nil))
	require.Equal(t, http.StatusForbidden, status, "an address to get is not one to put")
	_, err = s.PresignGet(t.Context(), "../x", time.Minute)
	require.ErrorIs(t, err, artifacts.ErrBadKey)
}

func TestS3SaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	_, err := artifacts.NewS3(artifacts.S3Config{Endpoint: "localhost:1"})
	require.ErrorContains(t, err, "no name")
	_, err = artifacts.NewS3(artifacts.S3Config{Endpoint: "http://x:1/y", Bucket: "b"})
	require.Error(t, err)
}

func TestDirDoesNotFollowLinksOut(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	d, err := artifacts.NewDir(root)
	require.NoError(t, err)
	defer d.Close()
	outside := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(outside, "secret"), []byte("s"), 0o600))
	require.NoError(t, os.Symlink(outside, filepath.Join(root, "objects", "link")))
	_, err = d.Get(t.Context(), "link/secret")
	require.Error(t, err)
	require.Error(t, d.Put(t.Context(), "link/new", strings.NewReader(""), 0))
	require.NoFileExists(t, filepath.Join(outside, "new"))
}

func TestDefaultKeyIsArgos(t *testing.T) {
	t.Parallel()
	require.Equal(t, "wf/pod/out.tgz", artifacts.DefaultKey("wf/pod", "out", "/tmp/x.txt", artifacts.Archive{}))
	require.Equal(t, "wf/pod/x.txt", artifacts.DefaultKey("wf/pod", "out", "/tmp/x.txt", artifacts.Archive{Kind: archive.None}))
}
