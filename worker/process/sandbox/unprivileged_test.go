package sandbox

import (
	"bytes"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

const nobody = 65534

// TestUnprivileged runs this package's tests once more as a user without privileges, where
// the kernel lets such a user have namespaces; where it does not, the refusal must say so.
func TestUnprivileged(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		return // the other tests are unprivileged already
	}
	dir, err := os.MkdirTemp("", "argosy-nobody-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chown(dir, nobody, nobody))

	asNobody := func(args ...string) (string, error) {
		var out bytes.Buffer
		cmd := exec.CommandContext(t.Context(), "/proc/self/exe", args...)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + dir}
		cmd.Dir = "/"
		cmd.Stdout, cmd.Stderr = &out, &out
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		err := cmd.Run()
		return out.String(), err
	}
	if why := userNamespacesForbidden(t); why != "" {
		out, err := asNobody("-test.run=^TestACommandsEndIsReported$")
		require.Error(t, err)
		require.Contains(t, out, "steps cannot be isolated here")
		require.Contains(t, out, why)
		return
	}
	out, err := asNobody("-test.v")
	require.NoError(t, err, out)
	require.Contains(t, out, "--- PASS: TestUnprivilegedLayout")
}

// userNamespacesForbidden names the setting that forbids a user its own namespaces.
func userNamespacesForbidden(t *testing.T) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "true")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential:  &syscall.Credential{Uid: nobody, Gid: nobody},
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: nobody, HostID: nobody, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: nobody, HostID: nobody, Size: 1}},
	}
	if cmd.Run() == nil {
		return ""
	}
	return "user"
}

func TestUnprivilegedLayout(t *testing.T) {
	t.Parallel()
	p := newPool(t, Config{Log: quiet()})
	if os.Geteuid() == 0 {
		require.Equal(t, layoutWhole, p.Layout())
		return
	}
	require.Equal(t, layoutSplit, p.Layout())
	x, out := sh(t, p, "id -u; touch /root/x && ls -A /root && cat /etc/hostname")
	require.Zero(t, x.Code, out)
}
