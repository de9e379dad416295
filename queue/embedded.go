package queue

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/alicebob/miniredis/v2"
)

// EmbeddedKind chooses what an embedded Redis is.
type EmbeddedKind string

// The kinds of an embedded Redis.
const (
	EmbeddedAuto   EmbeddedKind = ""       // a redis-server when one is installed, else memory
	EmbeddedServer EmbeddedKind = "server" // a private redis-server
	EmbeddedMemory EmbeddedKind = "memory" // in this process
)

// Embedded is a Redis of our own. It keeps nothing on disk and ends with this process.
type Embedded struct {
	URL  string
	Kind EmbeddedKind // never auto
	// Done is closed when it has ended, by Stop or by itself.
	Done <-chan struct{}
	stop func() error
}

// Stop ends it and removes what it left.
func (e *Embedded) Stop() error { return e.stop() }

// StartEmbedded starts a Redis for this process alone. ctx bounds the start only.
func StartEmbedded(ctx context.Context, kind EmbeddedKind) (*Embedded, error) {
	path, err := exec.LookPath("redis-server")
	switch {
	case kind == EmbeddedMemory || kind == EmbeddedAuto && err != nil:
		return startMemory()
	case err != nil:
		return nil, fmt.Errorf("finding redis-server: %w", err)
	}
	return startServer(ctx, path)
}

func startMemory() (*Embedded, error) {
	m := miniredis.NewMiniRedis()
	password := rand.Text()
	m.RequireAuth(password)
	m.ClockTTL(true) // otherwise nothing ever expires
	if err := m.Start(); err != nil {
		return nil, fmt.Errorf("starting the in-process Redis: %w", err)
	}
	done := make(chan struct{})
	u := url.URL{Scheme: "redis", User: url.UserPassword("default", password), Host: m.Addr()}
	return &Embedded{URL: u.String(), Kind: EmbeddedMemory, Done: done, stop: func() error {
		select {
		case <-done:
		default:
			m.Close()
			close(done)
		}
		return nil
	}}, nil
}

// startServer starts a redis-server that listens on a socket in a folder of its own only.
func startServer(ctx context.Context, path string) (*Embedded, error) {
	// Short, since the path of a socket may have 107 bytes.
	dir, err := os.MkdirTemp("", "argosy-redis-")
	if err != nil {
		return nil, fmt.Errorf("making a folder for redis-server: %w", err)
	}
	socket := filepath.Join(dir, "s")
	cmd := exec.Command(path, "--port", "0", "--unixsocket", socket, "--unixsocketperm", "700",
		"--dir", dir, "--save", "", "--appendonly", "no", "--daemonize", "no", "--loglevel", "notice",
		"--maxmemory-policy", "noeviction")
	cmd.SysProcAttr = childAttr()
	output, err := cmd.StdoutPipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting redis-server: %w", err), os.RemoveAll(dir))
	}
	started, ready, done := make(chan error, 1), make(chan bool, 1), make(chan struct{})
	go func() {
		// The kernel ends the child with the thread that started it: keep that thread.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		started <- nil
		ready <- awaitReady(output)
		_, _ = io.Copy(io.Discard, output)
		_ = cmd.Wait() // we killed it, or Done tells that it is gone
		close(done)
	}()
	if err := <-started; err != nil {
		return nil, errors.Join(fmt.Errorf("starting redis-server: %w", err), os.RemoveAll(dir))
	}
	e := &Embedded{URL: (&url.URL{Scheme: "unix", Path: socket}).String(), Kind: EmbeddedServer, Done: done}
	e.stop = func() error {
		err := cmd.Process.Kill()
		<-done
		if errors.Is(err, os.ErrProcessDone) {
			err = nil
		}
		return errors.Join(err, os.RemoveAll(dir))
	}
	select {
	case ok := <-ready:
		if !ok {
			return nil, errors.Join(errors.New("starting redis-server: it ended at once"), e.stop())
		}
	case <-ctx.Done():
		return nil, errors.Join(fmt.Errorf("starting redis-server: %w", ctx.Err()), e.stop())
	}
	return e, nil
}

// awaitReady reads the server's log until it says that it accepts connections.
func awaitReady(output io.Reader) bool {
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		if strings.Contains(strings.ToLower(lines.Text()), "ready to accept connections") {
			return true
		}
	}
	return false
}
