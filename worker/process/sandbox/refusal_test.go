package sandbox

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

const containerArg = "argosy-test-container"

// testContainer makes a pool as root of a user namespace, which is what a rootless
// container is, after forbidding it the namespaces that are named.
func testContainer(forbid []string) error {
	for _, kind := range forbid {
		if err := os.WriteFile(filepath.Join("/proc/sys/user", kind), []byte("0"), 0); err != nil {
			return err
		}
	}
	ctx := context.Background()
	p, err := NewPool(ctx, Config{Log: quiet()})
	if err != nil {
		return err
	}
	defer p.Close() //nolint:errcheck // the test looks at what the step did
	box, err := p.Get(ctx)
	if err != nil {
		return err
	}
	defer box.Close()
	_, err = box.Run(ctx, Command{Args: []string{"echo", p.Layout(), "works"}, Env: stepEnv, Stdout: os.Stdout})
	return err
}

func TestInARootlessContainer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		forbid []string
		want   string
	}{
		"namespaces allowed":          {nil, "split works\n"},
		"no further user namespaces":  {[]string{"max_user_namespaces"}, "split works\n"},
		"no further mount namespaces": {[]string{"max_mnt_namespaces", "max_user_namespaces"}, "steps cannot be isolated here: as root: starting a sandbox helper: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if why := userNamespacesForbidden(t); why != "" {
				return // TestUnprivileged covers that
			}
			var out bytes.Buffer
			cmd := exec.CommandContext(t.Context(), "/proc/self/exe", append([]string{containerArg}, c.forbid...)...)
			cmd.Stdout, cmd.Stderr = &out, &out
			cmd.Dir = "/"
			cmd.SysProcAttr = &syscall.SysProcAttr{
				Cloneflags:  syscall.CLONE_NEWUSER,
				UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
				GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
			}
			err := cmd.Run()
			require.Contains(t, out.String(), c.want)
			if c.forbid != nil && c.want[:5] == "steps" {
				require.Error(t, err)
				require.Contains(t, out.String(), "user namespaces are switched off: sysctl user.max_user_namespaces is 0")
				return
			}
			require.NoError(t, err)
		})
	}
}

func TestWhatIsHiddenMustExist(t *testing.T) {
	t.Parallel()
	_, err := NewPool(t.Context(), Config{Log: quiet(), Hide: []string{"/no/such/dir"}})
	require.ErrorContains(t, err, "resolving the hidden directory /no/such/dir")
}

func runContainer(args []string) {
	if err := testContainer(args); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}
