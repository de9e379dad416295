package queuetest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Server is a redis-server that a test may treat badly. It listens on loopback and keeps
// what it has in a folder of its own.
type Server struct {
	Addr string // host:port
	dir  string
	args []string
	proc *os.Process
	done chan struct{} // closed when proc has ended
}

// StartServer starts a redis-server with more options, until the test ends.
func StartServer(t testing.TB, args ...string) *Server {
	t.Helper()
	s, err := newServer(args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.remove(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func newServer(args ...string) (*Server, error) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		return nil, errors.New("redis-server is not installed: run make deps")
	}
	dir, err := os.MkdirTemp("", "argosy-redis-")
	if err != nil {
		return nil, fmt.Errorf("making a folder for redis-server: %w", err)
	}
	port, err := freePort()
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	s := &Server{Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), dir: dir}
	// A leading configuration file must come first, which is what a Sentinel has.
	s.args = append(append([]string{}, args...), "--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--dir", dir,
		"--daemonize", "no", "--save", "", "--logfile", filepath.Join(dir, "log"))
	if err := s.start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

// freePort finds a port that nobody listens on.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("finding a free port: %w", err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	return port, l.Close()
}

func (s *Server) start() error {
	cmd := exec.Command("redis-server", s.args...)
	cmd.SysProcAttr = childAttr()
	s.done = make(chan struct{})
	started := make(chan error, 1)
	go func(done chan<- struct{}) {
		// The kernel ends the child with the thread that started it: keep that thread.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(done)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // it is killed, or misses a test
		}
	}(s.done)
	if err := <-started; err != nil {
		return fmt.Errorf("starting redis-server: %w", err)
	}
	s.proc = cmd.Process
	for !s.answers() {
		select {
		case <-s.done:
			log, err := os.ReadFile(filepath.Join(s.dir, "log"))
			return errors.Join(fmt.Errorf("redis-server ended at once: %s", log), err)
		case <-time.After(lookEvery):
		}
	}
	return nil
}

const lookEvery = 10 * time.Millisecond

// answers says that the server is there and has read what it has on disk.
func (s *Server) answers() bool {
	conn, err := net.Dial("tcp", s.Addr)
	if err != nil {
		return false // a go-redis client would try more and more rarely
	}
	conn.Close()
	return s.do("ping") == nil
}

// URL is where the server is.
func (s *Server) URL() string { return "redis://" + s.Addr }

// Kill ends the server as kill -9 does.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	if err := s.proc.Kill(); err != nil {
		t.Fatal(err)
	}
	<-s.done
}

// Restart starts it again after a Kill, with what it has on disk.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
}

// Stall has it stop in its tracks, with its connections open, until Resume.
func (s *Server) Stall(t testing.TB) { s.signal(t, syscall.SIGSTOP) }

// Resume ends a Stall.
func (s *Server) Resume(t testing.TB) { s.signal(t, syscall.SIGCONT) }

func (s *Server) signal(t testing.TB, sig os.Signal) {
	t.Helper()
	if err := s.proc.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

func (s *Server) remove() error {
	err := s.proc.Kill()
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	<-s.done
	return errors.Join(err, os.RemoveAll(s.dir))
}

// AOF is the options of a server that keeps its writes as production's do.
func AOF() []string { return []string{"--appendonly", "yes", "--appendfsync", "everysec"} }

// Written returns the size of a server's append-only file once it holds every write.
func (s *Server) Written(t testing.TB) int64 {
	t.Helper()
	await(t, func() bool {
		client := redis.NewClient(&redis.Options{Addr: s.Addr})
		defer client.Close()
		// While it syncs, it may put off to write.
		return strings.Contains(client.Info(context.Background(), "persistence").Val(), "aof_buffer_length:0\r")
	})
	info, err := os.Stat(s.aof(t))
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// Forget cuts a killed server's append-only file, as a crash of its machine does.
func (s *Server) Forget(t testing.TB, size int64) {
	t.Helper()
	if err := os.Truncate(s.aof(t), size); err != nil {
		t.Fatal(err)
	}
}

func (s *Server) aof(t testing.TB) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.dir, "appendonlydir", "*.incr.aof"))
	if err != nil || len(files) != 1 {
		t.Fatalf("the append-only file of %s is one of %v: %v", s.dir, files, err)
	}
	return files[0]
}
