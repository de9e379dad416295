package main

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/stretchr/testify/require"
)

func workspace(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "context")
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "app", "sub"), 0o750))
	for name, text := range map[string]string{"../outside": "secret", "main": "run", "app/one": "1", "app/sub/two": "2"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	return dir
}

func TestADockerfileMakesAnImage(t *testing.T) {
	t.Parallel()
	img, err := buildImage(t.Context(), `# of an app
FROM scratch
ARG VERSION=unknown
ARG OTHER=default
COPY main /bin/
COPY app \
  /srv/app
LABEL version=$VERSION
ENV MODE=$OTHER
WORKDIR /srv
USER 7
ENTRYPOINT ["/bin/main", "$VERSION"]
CMD ["-v"]
`, pairs{"VERSION": "1.2"}, workspace(t))
	require.NoError(t, err)
	file, err := img.ConfigFile()
	require.NoError(t, err)
	require.Equal(t, "linux", file.OS)
	require.Len(t, file.RootFS.DiffIDs, 2)
	c := file.Config
	require.Equal(t, map[string]string{"version": "1.2"}, c.Labels)
	require.Equal(t, []string{"MODE=default"}, c.Env)
	require.Equal(t, []string{"/bin/main", "1.2"}, c.Entrypoint)
	require.Equal(t, []string{"-v"}, c.Cmd)
	require.Equal(t, "/srv 7", c.WorkingDir+" "+c.User)

	files := map[string]string{}
	packed := mutate.Extract(img)
	defer packed.Close()
	for archive := tar.NewReader(packed); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		body, err := io.ReadAll(archive)
		require.NoError(t, err)
		files[h.Name] = string(body)
	}
	require.Equal(t, map[string]string{"bin/main": "run", "srv/app/one": "1", "srv/app/sub/two": "2"}, files)
}

func TestWhatTheBuilderDoesNotDoIsRefused(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                   "there is no FROM",
		"COPY a b":                           "line 1: COPY comes before FROM",
		"FROM scratch\nRUN make":             "line 2: this builder does not know RUN",
		"FROM scratch\nFROM scratch":         "line 2: this builder has one stage",
		"FROM scratch\nCOPY main":            "line 2: COPY wants a source and a destination",
		"FROM scratch\nCOPY ../outside /x":   "line 2: copying ../outside",
		"FROM scratch\nCOPY main ../x":       "line 2: copying main: ../x leaves the image",
		"FROM scratch\nCOPY none /x":         "line 2: copying none",
		"FROM scratch\nENTRYPOINT /bin/main": "line 2: ENTRYPOINT wants a list in JSON",
	} {
		_, err := buildImage(t.Context(), text, nil, workspace(t))
		require.ErrorContains(t, err, want)
	}
}
