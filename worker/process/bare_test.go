package process

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

const bareArg = "argosy-test-bare"

// BenchmarkBare is the least that isolation costs: processes in the same namespaces and on
// the same overlay, made by two loops that do nothing else. It needs root.
func BenchmarkBare(b *testing.B) {
	dir := b.TempDir()
	var cmds []*exec.Cmd
	for i := range 2 {
		cmd := exec.Command("/proc/self/exe", bareArg, strconv.Itoa((b.N+i)/2), dir)
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWIPC}
		cmd.Stderr = os.Stderr
		require.NoError(b, cmd.Start())
		cmds = append(cmds, cmd)
	}
	for _, cmd := range cmds {
		require.NoError(b, cmd.Wait())
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "steps/s")
}

// bareLoop runs true n times.
func bareLoop(n int, dir string) error {
	runtime.LockOSThread()
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	home, err := unix.Open("/proc/thread-self/ns/mnt", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	for range n {
		if err := bareStep(dir, uintptr(null)); err != nil {
			return err
		}
		if err := unix.Setns(home, unix.CLONE_NEWNS); err != nil {
			return err
		}
	}
	return nil
}

func bareStep(dir string, null uintptr) error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return err
	}
	if err := unix.Mount("bare", dir, "tmpfs", 0, ""); err != nil {
		return err
	}
	root := filepath.Join(dir, "root")
	for _, d := range []string{"root", "upper", "work", "tmp"} {
		if err := unix.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	overlay := "lowerdir=/,upperdir=" + dir + "/upper,workdir=" + dir + "/work"
	if err := unix.Mount("bare", root, "overlay", 0, overlay); err != nil {
		return err
	}
	for _, m := range [][2]string{{"/proc", "/proc"}, {"/dev", "/dev"}, {"/sys", "/sys"}, {dir + "/tmp", "/tmp"}} {
		if err := unix.Mount(m[0], root+m[1], "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return err
		}
	}
	pid, err := syscall.ForkExec("/usr/bin/true", []string{"true"}, &syscall.ProcAttr{
		Dir: "/", Files: []uintptr{null, null, null},
		Env: []string{"PATH=/usr/bin", "HOME=/root"},
		Sys: &syscall.SysProcAttr{Setsid: true, Chroot: root, Cloneflags: unix.CLONE_NEWPID},
	})
	if err != nil {
		return err
	}
	_, err = unix.Wait4(pid, nil, 0, nil)
	return err
}
