package process

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"argosy/worker"
)

func TestAnImageStartsWhatItsEntrySays(t *testing.T) {
	t.Parallel()
	images, err := worker.ParseImages([]byte(`
say: {entrypoint: [say], cmd: [hello]}
say:v2: {entrypoint: [say2]}
registry:5000/lib/python: {cmd: [python3, -q]}
`))
	require.NoError(t, err)
	for _, tt := range []struct {
		image string
		args  []string
		want  []string // nil: it is refused
	}{
		{"say", nil, []string{"say", "hello"}},
		{"say:v1", []string{"a", "b"}, []string{"say", "a", "b"}},
		{"say:v2", nil, []string{"say2"}},
		{"say@sha256:0123", []string{"a"}, []string{"say", "a"}},
		{"registry:5000/lib/python:3", nil, []string{"python3", "-q"}},
		{"registry:5000/lib/python", []string{"sh", "-c", "true"}, []string{"sh", "-c", "true"}},
		{"other:v2", []string{"a"}, nil},
	} {
		e := &Executor{images: images, tools: "/opt/tools"}
		c := &corev1.Container{Image: tt.image}
		cmd, err := e.command(t.Context(), newStep(c), c, nil, tt.args)
		if tt.want == nil {
			require.ErrorContains(t, err, `does not know what image "`+tt.image+`" starts`)
			continue
		}
		require.NoError(t, err, tt.image)
		require.Equal(t, tt.want, cmd.Args, tt.image)
		require.Equal(t, "PATH=/opt/tools:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", cmd.Env[0])
	}
}

func TestImagesThatStartNothingAreRefused(t *testing.T) {
	t.Parallel()
	for text, message := range map[string]string{
		"say: {}":           `image "say" has neither entrypoint nor cmd`,
		"say: [a]":          "reading images",
		"say: {cmd: {a: 1}": "reading images",
	} {
		_, err := worker.ParseImages([]byte(text))
		require.ErrorContains(t, err, message)
	}
}

func TestStepsFindTheToolsOfTheirImages(t *testing.T) {
	t.Parallel()
	cache, err := os.UserCacheDir() // any place but /tmp, of which steps have their own
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(cache, 0o755))
	tools, err := os.MkdirTemp(cache, "argosy-tools-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(tools)) })
	require.NoError(t, os.WriteFile(filepath.Join(tools, "say"), []byte("#!/bin/sh\necho \"said $*\"\n"), 0o755))

	e := newExecutor(t, Config{Tools: tools, Images: worker.Images{"say": {Entrypoint: []string{"say"}}}})
	s := newStep(&corev1.Container{Image: "say:v1", Args: []string{"hello"}})
	s.CaptureResult = true
	r, err := e.Execute(t.Context(), s)
	require.NoError(t, err)
	require.Equal(t, "said hello", *r.Outputs.Result)

	_, err = New(t.Context(), Config{Tools: "/tmp/tools", Log: quiet()})
	require.ErrorContains(t, err, "steps have a /tmp of their own")
}
