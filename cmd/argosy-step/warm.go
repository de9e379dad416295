package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"argosy/worker/handover"
)

// warm is a pod that stays: it runs the steps that its worker hands out, one after the other.
// Without its worker it ends.
type warm struct {
	dir      string // where each step has a fresh folder
	env      []string
	stderr   io.Writer
	message  string
	patience time.Duration // with a worker that cannot be reached at first

	ours  map[string]string          // how to reach the worker
	there map[string]map[string]bool // what is kept of directories to tidy
}

// exitAsked is what a pod exits with that Kubernetes asked to end in the middle of a step.
const exitAsked = 128 + int(syscall.SIGTERM)

func (w warm) run(ctx context.Context) int {
	code, err := w.serve(ctx)
	if err != nil {
		fmt.Fprintln(w.stderr, "argosy-step:", err)
		if err := os.WriteFile(w.message, []byte(err.Error()), 0o644); err != nil { //nolint:gosec // as the runtime's own
			fmt.Fprintln(w.stderr, "argosy-step:", err)
		}
		return handover.RunnerExitCode
	}
	return code
}

func (w *warm) serve(ctx context.Context) (code int, err error) {
	ours, theirs := splitEnv(w.env)
	if path := ours[handover.EnvMessage]; path != "" {
		w.message = path
	}
	w.env, w.ours, w.there = theirs, ours, map[string]map[string]bool{}
	asked, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	wire, err := w.connect(asked, ours)
	if err != nil {
		return 0, fmt.Errorf("asking the worker for steps: %w", err)
	}
	defer wire.Close()
	in := listen(wire)
	for {
		if asked.Err() != nil || wire.Send(handover.SayReady, nil) != nil {
			return 0, nil
		}
		var item *handover.Item
		select {
		case <-asked.Done():
			return 0, nil
		case item = <-in.items: // nil: there are no more
		}
		if item == nil {
			return 0, nil
		}
		outcome := w.item(ctx, item, in, wire)
		if asked.Err() != nil && outcome.Code != 0 {
			return exitAsked, nil // it was not the step that failed
		}
		if wire.SendJSON(handover.SayEnded, outcome) != nil {
			return 0, nil
		}
		if err := w.clean(item); err != nil {
			return 0, fmt.Errorf("cleaning up after a step: %w", err)
		}
	}
}

// connect opens the connection to the worker, which may be busy.
func (w *warm) connect(ctx context.Context, ours map[string]string) (*handover.Wire, error) {
	began, wait := time.Now(), 50*time.Millisecond
	for {
		wire, err := dial(ctx, ours)
		if err == nil || errors.Is(err, errRefused) || ctx.Err() != nil || time.Since(began) > w.patience {
			return wire, err
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		wait = min(2*wait, 2*time.Second)
	}
}

// dial connects to the worker that the runner's environment names.
func dial(ctx context.Context, ours map[string]string) (*handover.Wire, error) {
	u, err := url.Parse(ours[handover.EnvGateway])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errRefused, err)
	}
	host := u.Host
	if u.Port() == "" {
		host = net.JoinHostPort(u.Hostname(), u.Scheme) // ports have names, too
	}
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	var conn net.Conn
	if u.Scheme == "https" {
		conn, err = (&tls.Dialer{NetDialer: dialer, Config: handover.ClientTLS(ours[handover.EnvKey])}).DialContext(ctx, "tcp", host)
	} else {
		conn, err = dialer.DialContext(ctx, "tcp", host)
	}
	if err != nil {
		return nil, err
	}
	wire, err := upgrade(ctx, conn, u.Host, ours[handover.EnvToken])
	if err != nil {
		conn.Close()
	}
	return wire, err
}

func upgrade(ctx context.Context, conn net.Conn, host, token string) (*handover.Wire, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+host+handover.PathWarm, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", handover.WarmProtocol)
	err = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if err == nil {
		err = req.Write(conn)
	}
	if err != nil {
		return nil, err
	}
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		defer resp.Body.Close()
		text, err := io.ReadAll(io.LimitReader(resp.Body, 1024))
		switch {
		case err != nil:
			return nil, err
		case resp.StatusCode < 500:
			return nil, fmt.Errorf("%w: %s", errRefused, bytes.TrimSpace(text))
		}
		return nil, fmt.Errorf("%s: %s", resp.Status, bytes.TrimSpace(text))
	}
	return handover.NewWire(conn, in), conn.SetDeadline(time.Time{})
}

// heard is what the worker says.
type heard struct {
	items chan *handover.Item // closed when there are no more
	ends  chan struct{}       // a value says: end the item
	over  chan struct{}       // closed when the worker is gone, or wants no more
}

func listen(wire *handover.Wire) *heard {
	in := &heard{items: make(chan *handover.Item, 1), ends: make(chan struct{}, 1), over: make(chan struct{})}
	go func() {
		defer close(in.items)
		defer close(in.over)
		number := 0 // of the item that is or was run last
		for {
			kind, payload, err := wire.Receive()
			switch {
			case err != nil || kind == handover.SayLeave:
				return
			case kind == handover.SayCancel:
				if of := 0; json.Unmarshal(payload, &of) == nil && of != number {
					continue // it has ended
				}
				select {
				case in.ends <- struct{}{}:
				default:
				}
			case kind == handover.SayRun:
				item := &handover.Item{}
				if json.Unmarshal(payload, item) != nil {
					return
				}
				number = item.Number
				select { // what was to end has ended
				case <-in.ends:
				default:
				}
				in.items <- item
			}
		}
	}()
	return in
}

// output sends what a command writes to the worker.
type output struct{ wire *handover.Wire }

func (o output) Write(p []byte) (int, error) {
	// Without a worker the command ends anyway.
	_ = o.wire.Send(handover.SayOutput, p)
	return len(p), nil
}

// item runs one step to its end, and leaves nothing of it running.
func (w *warm) item(ctx context.Context, item *handover.Item, in *heard, wire *handover.Wire) *handover.Outcome {
	dir, err := w.prepare(item)
	if err != nil {
		return failed(faultf(classExecutor, "preparing for the step: %w", err))
	}
	ctx, cancel := context.WithCancel(ctx)
	stop, ended, watched := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		defer cancel() // nobody waits for its files
		select {
		case <-ended:
			return
		case <-in.ends:
		case <-in.over:
		}
		close(stop)
	}()
	env := variables(w.env, item)
	s := step{
		command: expanded(item.Command, env, item), env: env, stdout: output{wire}, stderr: output{wire},
		message: w.message, patience: w.patience, scratch: w.dir, stop: stop, grace: time.Duration(item.Grace) * time.Millisecond,
	}
	kills := oomKills()
	ours := maps.Clone(w.ours)
	ours[handover.EnvToken] = item.Token
	outcome := s.perform(ctx, newGateway(ours, 5*time.Minute), nil, item.Plan, env)
	close(ended)
	<-watched
	if outcome.Code == 128+int(syscall.SIGKILL) && oomKills() > kills {
		outcome.Fault = &handover.Fault{Class: "oom", Message: fmt.Sprintf("main: OOMKilled (exit code %d)", outcome.Code)}
	}
	if outcome.Fault != nil {
		fmt.Fprintln(s.stderr, "argosy-step:", outcome.Fault.Message)
	}
	endAll()
	if err := errors.Join(os.Chdir("/"), os.RemoveAll(dir)); err != nil && outcome.Fault == nil {
		fmt.Fprintln(w.stderr, "argosy-step:", err) // clean looks again
	}
	return outcome
}

// prepare makes a step's folder and goes to where it runs.
func (w *warm) prepare(item *handover.Item) (dir string, err error) {
	for _, tidy := range item.Tidy {
		if w.there[tidy] != nil {
			continue
		}
		names, err := list(tidy)
		if err != nil {
			return "", err
		}
		w.there[tidy] = names
	}
	if err := os.WriteFile(w.message, nil, 0o644); err != nil && !errors.Is(err, fs.ErrNotExist) { //nolint:gosec // as the runtime's own
		return "", err
	}
	if dir, err = os.MkdirTemp(w.dir, "step-"); err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // the step may be of several users
		return dir, err
	}
	to := dir
	if item.Dir != "" {
		to = item.Dir
		if err := os.MkdirAll(to, 0o755); err != nil { //nolint:gosec // as the runtime would
			return dir, err
		}
	}
	return dir, os.Chdir(to)
}

// clean removes what a step left where the next one must find nothing.
func (w *warm) clean(item *handover.Item) error {
	var errs []error
	for _, path := range item.Fresh {
		errs = append(errs, os.RemoveAll(path))
	}
	for _, dir := range item.Tidy {
		names, err := list(dir)
		errs = append(errs, err)
		for name := range names {
			if !w.there[dir][name] {
				errs = append(errs, os.RemoveAll(filepath.Join(dir, name)))
			}
		}
	}
	names, err := list(w.dir)
	errs = append(errs, err)
	for name := range names {
		if strings.HasPrefix(name, "step-") {
			errs = append(errs, os.RemoveAll(filepath.Join(w.dir, name)))
		}
	}
	return errors.Join(errs...)
}

// list is what a directory holds; nothing if it is not there.
func list(dir string) (map[string]bool, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	names := make(map[string]bool, len(entries))
	for _, e := range entries {
		names[e.Name()] = true
	}
	return names, nil
}

// variables are an item's, over those of the pod.
func variables(pod []string, item *handover.Item) []string {
	env := append([]string{}, pod...)
	known := lookup(env, item)
	for _, v := range item.Env {
		if v.Value == nil {
			continue
		}
		set := v.Name + "=" + handover.Expand(*v.Value, known)
		at := -1
		for i := range env {
			if strings.HasPrefix(env[i], v.Name+"=") {
				at = i
			}
		}
		if at < 0 {
			env = append(env, set)
			known = lookup(env, item)
		} else {
			env[at] = set
		}
	}
	return env
}

// lookup finds what $(NAME) stands for: variables that the container names, and not those of its
// image.
func lookup(env []string, item *handover.Item) func(string) (string, bool) {
	named := map[string]bool{}
	for _, v := range item.Env {
		named[v.Name] = true
	}
	return func(name string) (string, bool) {
		if !named[name] && !item.EnvFrom {
			return "", false
		}
		for i := len(env) - 1; i >= 0; i-- {
			if value, ok := strings.CutPrefix(env[i], name+"="); ok {
				return value, true
			}
		}
		return "", false
	}
}

func expanded(command, env []string, item *handover.Item) []string {
	known := lookup(env, item)
	out := make([]string, len(command))
	for i := range command {
		out[i] = handover.Expand(command[i], known)
	}
	return out
}

// endAll ends what a step left in the background. A container's first process is the parent of
// all that have lost theirs, and nothing else runs beside it.
func endAll() {
	if os.Getpid() != 1 {
		return
	}
	for {
		_ = syscall.Kill(-1, syscall.SIGKILL) // all but ourselves
		if _, err := syscall.Wait4(-1, nil, 0, nil); err != nil && !errors.Is(err, syscall.EINTR) {
			return // there is none left
		}
	}
}

// oomKills counts the processes of this container that were killed for want of memory.
func oomKills() (n int) {
	for _, path := range []string{"/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"} {
		data, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(data)) {
			if _, err := fmt.Sscanf(line, "oom_kill %d", &n); err == nil {
				return n
			}
		}
	}
	return 0
}
