package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// eachPool runs a test with every kind of scratch, with the privileges that the test has.
func eachPool(t *testing.T, f func(t *testing.T, p *Pool)) {
	t.Helper()
	for _, kind := range []string{"memory", "disk"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			cfg := Config{Log: quiet(), Memory: 64 << 20}
			if kind == "disk" {
				cfg.Scratch = filepath.Join(t.TempDir(), "scratch")
			}
			p := newPool(t, cfg)
			f(t, p)
		})
	}
}

func newPool(t testing.TB, cfg Config) *Pool {
	t.Helper()
	p, err := NewPool(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return p
}

// sh runs a script in a new sandbox.
func sh(t *testing.T, p *Pool, script string) (Exit, string) {
	t.Helper()
	box, err := p.Get(t.Context())
	require.NoError(t, err)
	defer box.Close()
	return shIn(t, box, script)
}

func shIn(t *testing.T, box *Sandbox, script string) (Exit, string) {
	t.Helper()
	var out bytes.Buffer
	x, err := box.Run(t.Context(), Command{Args: []string{"sh", "-c", script}, Env: stepEnv, Stdout: &out, Stderr: &out})
	require.NoError(t, err)
	return x, out.String()
}

func TestACommandsEndIsReported(t *testing.T) {
	t.Parallel()
	eachPool(t, func(t *testing.T, p *Pool) {
		for _, c := range []struct {
			script string
			code   int
			out    string
		}{
			{"true", 0, ""},
			{"exit 3", 3, ""},
			{"kill -9 $$", 137, ""},
			{"kill -TERM $$", 143, ""},
			{"echo a; echo b >&2; echo c", 0, "a\nb\nc\n"},
			{"head -c 1000000 /dev/zero | tr '\\0' x", 0, strings.Repeat("x", 1000000)},
			{"pwd; echo $HOME; env | wc -l", 0, "/\n/root\n3\n"},
		} {
			x, out := sh(t, p, c.script)
			require.Equal(t, c.code, x.Code, c.script)
			require.Equal(t, c.out, out, c.script)
		}
	})
}

func TestWhatAStepWritesStaysWithIt(t *testing.T) {
	t.Parallel()
	eachPool(t, func(t *testing.T, p *Pool) {
		mark := fmt.Sprintf("argosy-mark-%d", time.Now().UnixNano())
		places := []string{"/tmp/", "/var/tmp/", "/etc/", "/dev/shm/", "/opt/new/dir/", "/new/", "/root/"}
		if p.Layout() == layoutWhole {
			places = append(places, "/usr/bin/")
		}
		for range 2 {
			for _, dir := range places {
				x, out := sh(t, p, fmt.Sprintf("mkdir -p %[1]s && test ! -e %[1]s%[2]s && echo x > %[1]s%[2]s", dir, mark))
				require.Zero(t, x.Code, "%s: %s", dir, out)
			}
		}
		for _, dir := range places {
			require.NoFileExists(t, dir+mark)
		}
		x, out := sh(t, p, "ls -A /tmp /var/tmp /dev/shm")
		require.Zero(t, x.Code)
		require.Equal(t, "/dev/shm:\n\n/tmp:\n\n/var/tmp:\n", out)
	})
}

// The root of a step may be older than the step.
func TestAStepSeesWhatCameToBeBeforeItBegan(t *testing.T) {
	t.Parallel()
	here := "/opt" // a step's /tmp is its own
	if unix.Access(here, unix.W_OK) != nil {
		require.NotZero(t, os.Geteuid())
		return // nobody, as whom TestUnprivileged runs these anew, can write nowhere that steps share
	}
	eachPool(t, func(t *testing.T, p *Pool) {
		dir, err := os.MkdirTemp(here, "argosy-host-")
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
		file := filepath.Join(dir, "file")
		_, out := sh(t, p, "ls -A "+dir)
		require.Empty(t, out)
		require.NoError(t, os.WriteFile(file, []byte("new"), 0o644))
		_, out = sh(t, p, "cat "+file)
		require.Equal(t, "new", out)

		box, err := p.Get(t.Context())
		require.NoError(t, err)
		box.Private = []string{dir}
		_, out = shIn(t, box, "ls -A "+dir)
		box.Close()
		require.Empty(t, out, "a root that was made for others is not used for a step that wants another")
		_, out = sh(t, p, "cat "+file)
		require.Equal(t, "new", out)
	})
}

func TestAStepCannotReachTheHost(t *testing.T) {
	t.Parallel()
	secret := t.TempDir()
	require.NoError(t, os.Chmod(secret, 0o777))
	require.NoError(t, os.WriteFile(filepath.Join(secret, "secret"), nil, 0o644))
	p := newPool(t, Config{Log: quiet(), Hide: []string{secret, "/etc/ssl"}})
	for _, script := range []string{
		"ls /etc/ssl/*",   // hidden
		"umount /etc/ssl", // no capability to uncover it
		"umount -l /proc",
		"mount -t tmpfs none /mnt",
		"ls /proc/1/root/lower",                   // the helper's root
		"echo x > /dev/argosy-test",               // the host's devtmpfs
		"echo 1 > /proc/sys/vm/overcommit_memory", // the machine's settings
		"mkdir /sys/fs/cgroup/argosy-test",
		"test -e " + secret + "/secret",
		"kill -9 1 && sleep 0.1 && false",
	} {
		x, out := sh(t, p, script)
		require.NotZero(t, x.Code, "%s\n%s", script, out)
	}
	require.NoFileExists(t, "/dev/argosy-test")
}

func TestNoProcessOutlivesItsStep(t *testing.T) {
	t.Parallel()
	p := newPool(t, Config{Log: quiet()})
	start := time.Now()
	x, _ := sh(t, p, "(setsid sleep 1000 &) ; sleep 1001 & exit 5")
	require.Equal(t, 5, x.Code)
	require.Less(t, time.Since(start), 20*time.Second)
	x, out := sh(t, p, "set -- /proc/[0-9]*; echo $#")
	require.Zero(t, x.Code)
	require.Equal(t, "2\n", out, "the helper and sh are all there is")
}

// The helper's own root lies under the step's, with the host's directories in it.
func TestAStepCannotDigBelowItsRoot(t *testing.T) {
	t.Parallel()
	p := newPool(t, Config{Log: quiet()})
	const escape = `
import os
os.mkdir("/tmp/x")
outside = os.open("/", os.O_RDONLY)
os.chroot("/tmp/x")
os.fchdir(outside)
for _ in range(50):
    os.chdir("..")
os.chroot(".")
`
	for name, script := range map[string]string{
		"chroot":                 "python3 -c '" + escape + `print(os.path.exists("/lower"), os.path.exists("/usr"))'`,
		"parent of the root":     "cd /; for i in 1 2 3; do cd ..; done; ls -d lower ../lower /../lower; echo False True",
		"nested user namespace":  `unshare -Urm sh -c "umount /; umount -l /; ls -d /lower /../lower"; echo False True`,
		"chroot within that":     `unshare -Urm python3 -c 'import os; os.system("umount -l /")` + escape + `print(os.path.exists("/lower"), os.path.exists("/usr"))'`,
		"mount over and look up": `unshare -Urm sh -c "mount -t tmpfs none /mnt && mount --move / /mnt; umount -l /; ls -d /lower"; echo False True`,
	} {
		box, err := p.Get(t.Context())
		require.NoError(t, err)
		var out bytes.Buffer
		_, err = box.Run(t.Context(), Command{Args: []string{"sh", "-c", script}, Env: stepEnv, Stdout: &out})
		require.NoError(t, err)
		require.Equal(t, "False True\n", out.String(), name)
		box.Close()
	}
}

func TestACancelledCommandGetsItsGrace(t *testing.T) {
	t.Parallel()
	eachPool(t, func(t *testing.T, p *Pool) {
		for name, c := range map[string]struct {
			script string
			grace  time.Duration
			code   int
		}{
			"polite":     {"echo up; sleep 1000", time.Minute, 143},
			"trapped":    {"trap 'exit 7' TERM; echo up; sleep 1000 & wait", time.Minute, 7},
			"stubborn":   {"trap '' TERM; echo up; while :; do sleep 1000; done", 50 * time.Millisecond, 137},
			"graceless":  {"trap 'exit 7' TERM; echo up; sleep 1000 & wait", 0, 137},
			"background": {"trap '' TERM; setsid sh -c 'trap \"\" TERM; echo up; sleep 1000'; sleep 1000", 50 * time.Millisecond, 137},
		} {
			t.Run(name, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				box, err := p.Get(ctx)
				require.NoError(t, err)
				defer box.Close()
				why := errors.New("why")
				x, err := box.Run(ctx, Command{
					Args: []string{"sh", "-c", c.script}, Env: stepEnv, Grace: c.grace,
					Stdout: writerFunc(func(p []byte) (int, error) { cancel(why); return len(p), nil }),
				})
				require.NoError(t, err)
				require.Equal(t, c.code, x.Code)
				require.True(t, x.Ended)
				require.ErrorIs(t, context.Cause(ctx), why)
			})
		}
		x, out := sh(t, p, "echo again")
		require.Zero(t, x.Code)
		require.False(t, x.Ended)
		require.Equal(t, "again\n", out)
	})
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestAContextThatEndedBeforehandStartsNothing(t *testing.T) {
	t.Parallel()
	p := newPool(t, Config{Log: quiet()})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := p.Get(ctx)
	require.ErrorIs(t, err, context.Canceled)
	box, err := p.Get(t.Context())
	require.NoError(t, err)
	defer box.Close()
	x, err := box.Run(ctx, Command{Args: []string{"sleep", "1000"}, Env: stepEnv, Grace: time.Minute})
	require.NoError(t, err)
	require.True(t, x.Ended)
	require.Equal(t, 143, x.Code)
}

func TestACommandThatCannotStart(t *testing.T) {
	t.Parallel()
	p := newPool(t, Config{Log: quiet()})
	for _, c := range []struct {
		args     []string
		notFound bool
		reason   string
	}{
		{[]string{"no-such-program"}, true, `exec: "no-such-program": executable file not found in $PATH`},
		{[]string{"/no/such"}, true, `exec: "/no/such": stat /no/such: no such file or directory`},
		{[]string{"/etc/passwd"}, true, `exec: "/etc/passwd": permission denied`},
		{[]string{"/etc"}, true, `exec: "/etc": is a directory`},
	} {
		box, err := p.Get(t.Context())
		require.NoError(t, err)
		_, err = box.Run(t.Context(), Command{Args: c.args, Env: stepEnv})
		var not *NotStartedError
		require.ErrorAs(t, err, &not)
		require.Equal(t, c.reason, not.Reason)
		require.Equal(t, c.notFound, not.NotFound)
		box.Close()
	}
}

func TestFilesAreReadFromOutsideWhileTheCommandRuns(t *testing.T) {
	t.Parallel()
	eachPool(t, func(t *testing.T, p *Pool) {
		box, err := p.Get(t.Context())
		require.NoError(t, err)
		defer box.Close()
		view, err := box.View()
		require.NoError(t, err)
		_, _ = shIn(t, box, `printf 0123456789 > /tmp/f; ln -s f /tmp/in; ln -s /var/tmp/own /tmp/abs; ln -s /tmp/none /tmp/out; mkfifo /tmp/pipe; echo own > /var/tmp/own`)
		for name, want := range map[string]string{"/tmp/f": "789", "/tmp/in": "789", "/tmp/abs": "wn\n", "/tmp/../tmp/f": "789"} {
			data, err := view.ReadEnd(name, 3)
			require.NoError(t, err, name)
			require.Equal(t, want, string(data), name)
		}
		for _, name := range []string{"/tmp/out", "/tmp/pipe", "/tmp", "/dev/null", "/nowhere"} {
			_, err := view.ReadEnd(name, 3)
			require.Error(t, err, name)
		}
	})
}

func TestFilesAreStagedAndCollectedFromOutside(t *testing.T) {
	t.Parallel()
	eachPool(t, func(t *testing.T, p *Pool) {
		box, err := p.Get(t.Context())
		require.NoError(t, err)
		defer box.Close()
		box.Private = []string{"/data/own", "/etc/ssl"}
		view, err := box.View()
		require.NoError(t, err)
		for _, name := range []string{"/tmp/in", "/argo/staging/script", "/data/own/x", "/etc/new"} {
			host, err := view.HostPath(name)
			require.NoError(t, err)
			require.NoError(t, os.MkdirAll(filepath.Dir(host), 0o755))
			require.NoError(t, os.WriteFile(host, []byte(name), 0o644))
			require.NoFileExists(t, name)
		}
		x, out := shIn(t, box, `cat /tmp/in /argo/staging/script /data/own/x /etc/new; ls /etc/ssl
			mkdir -p /tmp/out/d /work/x; echo 1 > /tmp/out/d/f; ln -s /tmp/out/d/f /tmp/link
			ln -s /tmp/out/d /up; mkfifo /tmp/fifo; ln -s ../../../../../etc/passwd /tmp/passwd
			rm /etc/passwd; echo mine > /etc/passwd; ln -s loop /tmp/loop; ln -s /nowhere/y /tmp/dangling`)
		require.Zero(t, x.Code, out)
		require.Equal(t, "/tmp/in/argo/staging/script/data/own/x/etc/new", out)

		for name, want := range map[string]string{
			"/tmp/out/d/f": "1\n", "/tmp/link": "1\n", "/up/f": "1\n", "/up/../d/f": "1\n",
			"/tmp/passwd": "mine\n", "/etc/passwd": "mine\n", "/../../etc/passwd": "mine\n",
		} {
			host, err := view.HostPath(name)
			require.NoError(t, err, name)
			got, err := os.ReadFile(host)
			require.NoError(t, err, name)
			require.Equal(t, want, string(got), name)
			info, err := os.Lstat(host)
			require.NoError(t, err)
			require.True(t, info.Mode().IsRegular(), name)
		}
		for _, name := range []string{"/tmp/out", "/tmp/out/", "/up", "/up/.", "/tmp/out/d/..", "/"} {
			host, err := view.HostPath(name)
			require.NoError(t, err, name)
			info, err := os.Lstat(host)
			require.NoError(t, err, name)
			require.True(t, info.IsDir(), name)
		}
		for name, why := range map[string]string{
			"/tmp/fifo": "neither a file nor a directory", "/tmp/loop": "too many", "/dev/null": "neither",
			"/etc/passwd/x": "not a directory", "relative": "not an absolute path",
		} {
			_, err := view.HostPath(name)
			require.ErrorContains(t, err, why, name)
		}
		host, err := view.HostPath("/tmp/dangling/deep/er")
		require.NoError(t, err)
		require.True(t, strings.HasSuffix(host, "/nowhere/y/deep/er"), host)
		require.NoError(t, os.MkdirAll(filepath.Dir(host), 0o755))
		require.NoDirExists(t, "/nowhere")
	})
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	p := newPool(t, Config{Log: quiet(), Memory: 1 << 20})
	x, out := sh(t, p, "head -c 3000000 /dev/zero > /var/big")
	require.NotZero(t, x.Code)
	require.Contains(t, out, "No space left on device")
}

func TestALostHelperIsReplaced(t *testing.T) {
	t.Parallel()
	p := newPool(t, Config{Log: quiet()})
	box, err := p.Get(t.Context())
	require.NoError(t, err)
	_, err = box.Run(t.Context(), Command{
		Args: []string{"sh", "-c", "echo up; sleep 1000"}, Env: stepEnv,
		Stdout: writerFunc(func(b []byte) (int, error) { return len(b), box.slot.cmd.Process.Kill() }),
	})
	require.ErrorIs(t, err, ErrLost)
	box.Close()
	x, out := sh(t, p, "echo fine")
	require.Zero(t, x.Code)
	require.Equal(t, "fine\n", out)
}

func TestUnusedHelpersRetire(t *testing.T) {
	t.Parallel()
	p := newPool(t, Config{Log: quiet(), Idle: 10 * time.Millisecond, Scratch: filepath.Join(t.TempDir(), "scratch")})
	x, _ := sh(t, p, "true")
	require.Zero(t, x.Code)
	require.Eventually(t, func() bool {
		entries, err := os.ReadDir(p.scratch.path)
		return err == nil && len(entries) == 0
	}, 10*time.Second, time.Millisecond)
	x, _ = sh(t, p, "true")
	require.Zero(t, x.Code)
}

func TestClosingThePoolEndsItsSteps(t *testing.T) {
	t.Parallel()
	p := newPool(t, Config{Log: quiet(), Scratch: filepath.Join(t.TempDir(), "scratch")})
	box, err := p.Get(t.Context())
	require.NoError(t, err)
	closed := make(chan error, 1)
	_, err = box.Run(t.Context(), Command{
		Args: []string{"sh", "-c", "echo up; trap '' TERM; sleep 1000"}, Env: stepEnv,
		Stdout: writerFunc(func(b []byte) (int, error) {
			go func() { closed <- p.Close() }()
			return len(b), nil
		}),
	})
	require.ErrorIs(t, err, ErrLost)
	box.Close()
	require.NoError(t, <-closed)
	entries, err := os.ReadDir(p.scratch.parent)
	require.NoError(t, err)
	require.Empty(t, entries)
}

func TestAFailingLogEndsNoStep(t *testing.T) {
	t.Parallel()
	p := newPool(t, Config{Log: quiet()})
	box, err := p.Get(t.Context())
	require.NoError(t, err)
	defer box.Close()
	x, err := box.Run(t.Context(), Command{
		Args: []string{"sh", "-c", "head -c 1000000 /dev/zero; exit 4"}, Env: stepEnv,
		Stdout: writerFunc(func([]byte) (int, error) { return 0, io.ErrShortWrite }),
	})
	var cut *OutputError
	require.ErrorAs(t, err, &cut)
	require.Equal(t, 4, x.Code)
}
