package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"argosy/server/client"
)

// fleet is a Redis of its own and processes that work with it.
type fleet struct {
	dir       string
	binary    string
	shape     shape
	redis     string // address
	api       string // address of the server
	client    *client.Client
	processes []*process
	runs      int // that repeat has submitted
}

type process struct {
	name    string
	cmd     *exec.Cmd
	log     string
	monitor string // address of its metrics; "" has none
	done    chan struct{}
}

// shape says which processes a fleet has beside its Redis and a server.
type shape struct {
	executor     string
	coordinators int
	workers      int
	slots        int      // of each worker; 0 is one per core
	coordinator  []string // more flags for each coordinator
	worker       []string // more flags for each worker
	settings     []string // environment of all
}

// plain is one of each, with one slot per core.
func plain(executor string) shape { return shape{executor: executor, coordinators: 1, workers: 1} }

// manySlots is what a worker of Jobs has by default.
const manySlots = 100

// wide is one of each for many steps that run nothing.
func wide() shape { return shape{executor: "noop", coordinators: 1, workers: 1, slots: manySlots} }

// patience bounds how long a process may take to start or to end.
const patience = 20 * time.Second

// startRedis starts a redis-server as rows want it: every second is on disk.
func startRedis(ctx context.Context) (*fleet, error) {
	dir, err := os.MkdirTemp("", "argosy-loadtest-")
	if err != nil {
		return nil, fmt.Errorf("making a folder: %w", err)
	}
	f := &fleet{dir: dir}
	port, err := freePort()
	if err != nil {
		return nil, errors.Join(err, f.stop())
	}
	f.redis = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	err = f.start("redis", "redis-server", append([]string{"--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--dir", dir}, redisConfig...)...)
	if err == nil {
		err = f.await(ctx, "redis", func() error {
			c, err := (&net.Dialer{}).DialContext(ctx, "tcp", f.redis)
			if err != nil {
				return err
			}
			return c.Close()
		})
	}
	if err != nil {
		return nil, errors.Join(err, f.stop())
	}
	return f, nil
}

// startFleet starts a Redis, a server, a coordinator and a worker with one slot per core.
func startFleet(ctx context.Context, b bench, executor string) (*fleet, error) {
	return startShape(ctx, b, plain(executor))
}

// startShape starts a Redis, a server and what else is asked for.
func startShape(ctx context.Context, b bench, sh shape) (*fleet, error) {
	binary, err := filepath.Abs(b.binary)
	if err != nil {
		return nil, fmt.Errorf("finding argosy: %w", err)
	}
	f, err := startRedis(ctx)
	if err != nil {
		return nil, err
	}
	f.binary, f.shape = binary, sh
	if err := f.startRoles(ctx); err != nil {
		return nil, errors.Join(err, f.stop())
	}
	return f, nil
}

// withFleet measures with a fleet of its own, and shows its logs if that fails.
func withFleet(ctx context.Context, b bench, sh shape, measure func(*fleet) error) error {
	f, err := startShape(ctx, b, sh)
	if err != nil {
		return err
	}
	if err := measure(f); err != nil {
		return errors.Join(fmt.Errorf("%w\n%s", err, f.logs()), f.stop())
	}
	return f.stop()
}

func (f *fleet) startRoles(ctx context.Context) error {
	api, err := freePort()
	if err != nil {
		return err
	}
	f.api = net.JoinHostPort("127.0.0.1", strconv.Itoa(api))
	if f.client, err = client.New(f.api, ""); err != nil {
		return err
	}
	if err := f.startRole(ctx, "server", "server", "--addr", f.api); err != nil {
		return err
	}
	for i := range f.shape.coordinators {
		if err := f.startRole(ctx, numbered("coordinator", i), append([]string{"coordinator"}, f.shape.coordinator...)...); err != nil {
			return err
		}
	}
	for i := range f.shape.workers {
		if err := f.startWorker(ctx, numbered("worker", i)); err != nil {
			return err
		}
	}
	return nil
}

func (f *fleet) startWorker(ctx context.Context, name string) error {
	return f.startRole(ctx, name, append([]string{"worker", "--executor", f.shape.executor, "--slots", strconv.Itoa(f.shape.slots),
		"--artifacts", filepath.Join(f.dir, "artifacts")}, f.shape.worker...)...)
}

// numbered names the first one plainly.
func numbered(role string, i int) string {
	if i == 0 {
		return role
	}
	return fmt.Sprintf("%s-%d", role, i+1)
}

// startRole starts argosy in a role and waits until it is ready.
func (f *fleet) startRole(ctx context.Context, name string, args ...string) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	monitor := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	args = append(slices.Clone(args), "--redis-url", "redis://"+f.redis, "--metrics-addr", monitor, "--log-level", "warn")
	if err := f.start(name, f.binary, args...); err != nil {
		return err
	}
	f.processes[len(f.processes)-1].monitor = monitor
	return f.await(ctx, name, func() error { return ready(ctx, "http://"+monitor+"/readyz") })
}

func ready(ctx context.Context, url string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return errors.New(res.Status)
	}
	return nil
}

// freePort gives a port that was free a moment ago.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("finding a free port: %w", err)
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// start starts a process that writes to a log in the fleet's folder.
func (f *fleet) start(name, path string, args ...string) error {
	return f.startWith(name, f.shape.settings, path, args...)
}

// startWith starts a process with settings in its environment.
func (f *fleet) startWith(name string, env []string, path string, args ...string) error {
	p, err := launch(name, filepath.Join(f.dir, name+".log"), append(cleanEnvironment(), env...), path, args)
	if err != nil {
		return err
	}
	f.processes = append(f.processes, p)
	return nil
}

func launch(name, log string, env []string, path string, args []string) (*process, error) {
	p := &process{name: name, cmd: exec.Command(path, args...), log: log, done: make(chan struct{})}
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	defer out.Close()
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.Env = env
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt of ours ends them in order
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // how it ended is in its log
	}()
	return p, nil
}

// again starts the process anew, after its end.
func (p *process) again() (*process, error) {
	return launch(p.name, p.log, p.cmd.Env, p.cmd.Path, p.cmd.Args[1:])
}

// end ends the process: politely, and if that takes too long for sure.
func (p *process) end(s syscall.Signal) {
	_ = p.cmd.Process.Signal(s) // it may have ended already
	select {
	case <-p.done:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// cleanEnvironment is ours without settings of Argosy's.
func cleanEnvironment() []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "ARGOSY_") && !strings.HasPrefix(v, "ARGO_") && !strings.HasPrefix(v, "KUBECONFIG=") {
			env = append(env, v)
		}
	}
	return env
}

// await waits until a process answers.
func (f *fleet) await(ctx context.Context, name string, answers func() error) error {
	p := f.processes[len(f.processes)-1]
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := answers()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-p.done:
			return fmt.Errorf("starting %s: it ended: %s", name, tail(p.log))
		case <-ctx.Done():
			return fmt.Errorf("starting %s: %w: %s", name, err, tail(p.log))
		}
	}
}

// tail is the end of a log.
func tail(path string) string {
	body, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(body[max(0, len(body)-2000):])
}

// logs is the end of what all processes wrote, for a report of what went wrong.
func (f *fleet) logs() string {
	var all strings.Builder
	for _, p := range f.processes {
		fmt.Fprintf(&all, "--- %s\n%s\n", p.name, tail(p.log))
	}
	return all.String()
}

// stop ends the processes, the last one first, and removes what they left.
func (f *fleet) stop() error {
	for i := len(f.processes) - 1; i >= 0; i-- {
		f.processes[i].end(syscall.SIGTERM)
	}
	return os.RemoveAll(f.dir)
}
