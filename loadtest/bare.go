package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// bareArg has this program run true n times in sandboxes below a directory, and nothing else:
// loadtest bare n dir.
const bareArg = "bare"

// bareIsolated is the least that isolation costs: the time in which n processes run in the same
// namespaces and on the same overlay as a process step, made by one loop on each core that does
// nothing else. It needs root.
func bareIsolated(ctx context.Context, n int) (took time.Duration, err error) {
	dir, err := os.MkdirTemp("", "argosy-bare-")
	if err != nil {
		return 0, fmt.Errorf("making a folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	start := time.Now()
	var cmds []*exec.Cmd
	for i := range runtime.NumCPU() {
		cmd := exec.CommandContext(ctx, "/proc/self/exe", bareArg, strconv.Itoa((n+i)/runtime.NumCPU()), dir)
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWIPC}
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			return 0, fmt.Errorf("starting bare processes, which needs root: %w", err)
		}
		cmds = append(cmds, cmd)
	}
	for _, cmd := range cmds {
		err = errors.Join(err, cmd.Wait())
	}
	if err != nil {
		return 0, fmt.Errorf("running bare processes: %w", err)
	}
	return time.Since(start), nil
}

// runBare is the program of bareArg.
func runBare(args []string) error {
	if len(args) != 2 {
		return errors.New("usage: loadtest bare n dir")
	}
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
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
		if err := bareStep(args[1], uintptr(null)); err != nil {
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
