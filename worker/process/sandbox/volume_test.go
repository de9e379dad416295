package sandbox

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSandboxesShareVolumesAndNothingElse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "a", "sub"), 0o755))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "b"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "b", "file"), []byte("kept\n"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "b", "other"), []byte("not asked for\n"), 0o644))
	p := newPool(t, Config{Log: quiet(), Memory: 64 << 20, Volumes: dir})
	in := func(script string, mounts ...Mount) string {
		t.Helper()
		box, err := p.Get(t.Context())
		require.NoError(t, err)
		defer box.Close()
		box.Mounts = mounts
		_, out := shIn(t, box, script)
		return out
	}
	require.Empty(t, in("echo one > /mnt/deep/down/x; echo two > /mnt/deep/down/sub/y", Mount{Volume: "a", At: "/mnt/deep/down"}))
	require.Equal(t, "one\ntwo\n", in("cat /v/x /v/sub/y", Mount{Volume: "a", At: "/v"}))
	require.Equal(t, "two\n", in("cat /v/*", Mount{Volume: "a", SubPath: "sub", At: "/v"}))
	require.Empty(t, in("ls /v; echo new > /v/z", Mount{Volume: "a", SubPath: "made/here", At: "/v"}))
	require.FileExists(t, filepath.Join(dir, "a", "made", "here", "z"))
	require.Equal(t, "kept\nfile\n", in("cat /etc/app/file; ls /etc/app", Mount{Volume: "b", SubPath: "file", At: "/etc/app/file"}))
	require.Contains(t, in("echo no > /v/x; cat /v/x", Mount{Volume: "a", At: "/v", ReadOnly: true}), "Read-only file system")
	require.Equal(t, "gone\n", in("ls "+dir+"/a 2>/dev/null || echo gone"), "a step sees what volumes it did not mount")

	require.NoError(t, os.Symlink("/", filepath.Join(dir, "a", "up")))
	require.NoError(t, os.Symlink("../../b", filepath.Join(dir, "a", "across")))
	require.NoError(t, os.Symlink("sub", filepath.Join(dir, "a", "within")))
	require.Equal(t, "two\n", in("cat /v/y", Mount{Volume: "a", SubPath: "within", At: "/v"}))
	for _, bad := range []Mount{
		{Volume: "a", SubPath: "up", At: "/v"},
		{Volume: "a", SubPath: "across", At: "/v"},
		{Volume: "a", SubPath: "../b", At: "/v"},
		{Volume: "../a", At: "/v"},
		{Volume: "/etc", At: "/v"},
		{Volume: "none", At: "/v"},
	} {
		box, err := p.Get(t.Context())
		require.NoError(t, err)
		box.Mounts = []Mount{bad}
		_, err = box.Run(t.Context(), Command{Args: []string{"true"}, Env: stepEnv})
		box.Close()
		require.ErrorContains(t, err, "mounting volume", "%v", bad)
	}
	require.Equal(t, "one\n", in("cat /v/x", Mount{Volume: "a", At: "/v"}), "a refusal spoils the sandbox for others")

	box, err := p.Get(t.Context())
	require.NoError(t, err)
	defer box.Close()
	box.Mounts = []Mount{{Volume: "a", At: "/v"}}
	view, err := box.View()
	require.NoError(t, err)
	path, err := view.HostPath("/v/staged")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, []byte("from outside\n"), 0o600))
	require.FileExists(t, filepath.Join(dir, "a", "staged"))
}
