package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// bootTimeout bounds how long the programs may take until each has been started.
const bootTimeout = 2 * time.Minute

// RunNode is the node's process 1. It makes its corner of the kernel habitable, starts
// the programs in order, and then only reaps. It never restarts one: a cluster that
// lost a program is reported broken, and the next Up replaces it whole.
func RunNode(log *slog.Logger) error {
	if os.Getpid() != 1 {
		return errors.New("the node is started by up, as process 1")
	}
	plan, err := loadPlan()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), bootTimeout,
		fmt.Errorf("the node did not boot within %s", bootTimeout))
	defer cancel()
	if err := mountPrivate(); err != nil {
		return err
	}
	if err := await(ctx, "the uplink", hasInterface(uplink)); err != nil {
		return err
	}
	if err := configureNetwork(ctx); err != nil {
		return err
	}
	r := newReaper(log)
	go r.run()
	if err := r.boot(ctx, components(plan)); err != nil {
		return err
	}
	log.Info("node has booted")
	select {}
}

// mountPrivate hides what the node must not share with the host. Mounts made here never
// show outside, and vanish with the node.
func mountPrivate() error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("detaching mounts from the host: %w", err)
	}
	// The kubelet shares volume mounts with containers, which takes a shared tree.
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_SHARED, ""); err != nil {
		return fmt.Errorf("sharing mounts within the node: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mounting /proc: %w", err)
	}
	for target, source := range private {
		if err := syscall.Mount(source, target, "", syscall.MS_BIND, ""); err != nil {
			return fmt.Errorf("mounting %s: %w", target, err)
		}
	}
	return nil
}

func hasInterface(name string) probe {
	return func(context.Context) error {
		_, err := net.InterfaceByName(name)
		return err
	}
}

func configureNetwork(ctx context.Context) error {
	err := ip(ctx,
		"link set lo up",
		"addr add "+uplinkIP+"/30 dev "+uplink,
		"link set "+uplink+" up",
		"route add default via "+hostIP,
		"link add "+bridge+" type bridge",
		"addr add "+nodeIP+"/16 dev "+bridge,
		"link set "+bridge+" up",
	)
	if err != nil {
		return fmt.Errorf("setting up the node's network: %w", err)
	}
	for name, value := range map[string]string{
		"ipv4/ip_forward":                       "1",
		"ipv4/conf/all/rp_filter":               "0",
		"bridge/bridge-nf-call-iptables":        "1", // replies from a Service on the same bridge
		"ipv4/ip_unprivileged_port_start":       "0",
		"netfilter/nf_conntrack_tcp_be_liberal": "1",
	} {
		path := filepath.Join("/proc/sys/net", name)
		if err := os.WriteFile(path, []byte(value), 0o644); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("setting up the node's network: %w", err)
		}
	}
	return nil
}

// ip runs commands of the ip tool as one batch.
func ip(ctx context.Context, commands ...string) error {
	cmd := exec.CommandContext(ctx, "ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("running ip: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// reaper waits for children: its own programs and whatever they orphan.
type reaper struct {
	log  *slog.Logger
	fail chan error // the first program that ended
	died chan os.Signal

	mu    sync.Mutex
	names map[int]string
}

func newReaper(log *slog.Logger) *reaper {
	r := &reaper{log: log, fail: make(chan error, 1), died: make(chan os.Signal, 1), names: map[int]string{}}
	signal.Notify(r.died, syscall.SIGCHLD) // before the first child can end
	return r
}

func (r *reaper) run() {
	for range r.died {
		r.reap()
	}
}

func (r *reaper) reap() {
	r.mu.Lock() // a program is not reaped before start has written down its name
	defer r.mu.Unlock()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		name, ours := r.names[pid]
		if !ours {
			continue
		}
		delete(r.names, pid)
		r.log.Error("program has ended", "program", name, "code", status.ExitStatus(), "signal", status.Signal())
		select {
		case r.fail <- fmt.Errorf("%s ended: see %s", name, logOf(name)):
		default:
		}
	}
}

// boot starts every component once those it comes after answer.
func (r *reaper) boot(ctx context.Context, all []component) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	booted := make(chan struct{})
	defer close(booted)
	go func() {
		select {
		case err := <-r.fail:
			cancel(err)
		case <-booted:
		}
	}()
	probes := map[string]probe{}
	for _, c := range all {
		for _, earlier := range c.after {
			if err := await(ctx, earlier, probes[earlier]); err != nil {
				return err
			}
		}
		if err := r.start(c); err != nil {
			return err
		}
		probes[c.name] = c.probe
	}
	return nil
}

func (r *reaper) start(c component) error {
	out, err := os.Create(logOf(c.name))
	if err != nil {
		return fmt.Errorf("starting %s: %w", c.name, err)
	}
	defer out.Close()
	cmd := exec.Command(c.path, c.args...)
	cmd.Env = append(os.Environ(), c.env...)
	cmd.Dir = Root
	cmd.Stdout, cmd.Stderr = out, out
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", c.name, err)
	}
	r.names[cmd.Process.Pid] = c.name
	r.log.Info("program started", "program", c.name)
	return nil
}

func logOf(name string) string { return filepath.Join(logDir, name+".log") }
