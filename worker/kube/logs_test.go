package kube

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// nodeLog is a log as a node has it: it grows while and shortly after its container runs.
type nodeLog struct {
	mu      sync.Mutex
	text    string
	running bool
	opens   []bool // whether each followed
}

func (l *nodeLog) write(s string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text += s
}

func (l *nodeLog) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running = false
}

func (l *nodeLog) open(ctx context.Context, follow bool) (io.ReadCloser, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.opens = append(l.opens, follow)
	return &nodeStream{log: l, ctx: ctx, follow: follow}, nil
}

// opened counts the openings.
func (l *nodeLog) opened() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.opens)
}

// plain counts the readings that did not follow.
func (l *nodeLog) plain() int {
	n := 0
	for _, follow := range l.opens {
		if !follow {
			n++
		}
	}
	return n
}

// nodeStream reads like the kubelet: to the present end, and on while the container runs.
type nodeStream struct {
	log    *nodeLog
	ctx    context.Context
	follow bool
	at     int
}

func (s *nodeStream) Read(p []byte) (int, error) {
	for {
		s.log.mu.Lock()
		n := copy(p, s.log.text[s.at:])
		over := !s.follow || !s.log.running
		s.log.mu.Unlock()
		s.at += n
		if n > 0 {
			return n, nil
		}
		if over {
			return 0, io.EOF
		}
		select {
		case <-s.ctx.Done():
			return 0, s.ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (s *nodeStream) Close() error { return nil }

func TestTheLogOfAnEndedStep(t *testing.T) {
	t.Parallel()
	quiet := slog.New(slog.DiscardHandler)

	t.Run("is not complete while the node still writes what it has of it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			node, got := &nodeLog{running: true}, &bytes.Buffer{}
			c := startLogCopy(node.open, got, quiet)
			time.Sleep(2 * logBegins)
			node.write("one\n")
			time.Sleep(20 * time.Millisecond) // following has it
			node.stop()
			go func() {
				for _, line := range []string{"two\n", "three\n", "four\n"} {
					time.Sleep(logSettles - 50*time.Millisecond)
					node.write(line)
				}
			}()
			time.Sleep(20 * time.Millisecond) // and nothing more
			c.complete(t.Context())
			require.Equal(t, "one\ntwo\nthree\nfour\n", got.String())
		})
	})
	t.Run("is taken up again when following ends before the container does", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			node, got := &nodeLog{text: "one\n"}, &bytes.Buffer{}
			c := startLogCopy(node.open, got, quiet)
			time.Sleep(logBegins + 15*logAgain + time.Millisecond)
			synctest.Wait()
			require.Equal(t, 5, node.opened(), "after 0, 1, 3, 7 and 15 times logAgain")
			time.Sleep(10 * logAgainMost)
			synctest.Wait()
			require.Equal(t, 15, node.opened())
			node.write("two\n")
			time.Sleep(logAgainMost)
			synctest.Wait()
			require.Equal(t, "one\ntwo\n", got.String())
			node.write("three\n")
			time.Sleep(logAgain)
			synctest.Wait()
			require.Equal(t, "one\ntwo\nthree\n", got.String(), "what grows is looked at often")
			c.complete(t.Context())
			require.Equal(t, "one\ntwo\nthree\n", got.String())
		})
	})
	t.Run("is read once more and without delay when it has been quiet", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			node, got := &nodeLog{running: true, text: "one\n"}, &bytes.Buffer{}
			c := startLogCopy(node.open, got, quiet)
			time.Sleep(2 * logBegins)
			node.stop()
			synctest.Wait()
			time.Sleep(time.Second / 2)
			before := time.Now()
			c.complete(t.Context())
			require.Equal(t, "one\n", got.String())
			require.Zero(t, time.Since(before))
			require.Equal(t, 1, node.plain())
		})
	})
	t.Run("is read only once when it ran shortly and said little", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			node, got := &nodeLog{running: true}, &bytes.Buffer{}
			c := startLogCopy(node.open, got, quiet)
			time.Sleep(logBegins / 2)
			node.stop()
			go func() {
				time.Sleep(logSettles / 2) // still on its way into the log
				node.write("one\n")
			}()
			c.complete(t.Context())
			require.Equal(t, "one\n", got.String())
			require.Equal(t, []bool{false}, node.opens)
		})
	})
	t.Run("is read until it is quiet when it ran shortly and said much", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			much := strings.Repeat("one\n", logBurst)
			node, got := &nodeLog{text: much}, &bytes.Buffer{}
			c := startLogCopy(node.open, got, quiet)
			go func() {
				time.Sleep(logSettles * 3 / 2)
				node.write("two\n")
			}()
			c.complete(t.Context())
			require.Equal(t, much+"two\n", got.String())
			require.Equal(t, []bool{false, false, false}, node.opens)
		})
	})
	t.Run("is waited for with patience that ends", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			node := &nodeLog{running: true}
			c := startLogCopy(node.open, io.Discard, quiet)
			time.Sleep(2 * logBegins)
			before := time.Now()
			c.complete(t.Context()) // the node keeps the stream open
			require.Equal(t, logPatience, time.Since(before))
		})
	})
	t.Run("is given up when it breaks each time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			opens, broken := 0, errors.New("no such node")
			err := copyLog(t.Context(), func(context.Context, bool) (io.ReadCloser, error) {
				opens++
				return nil, broken
			}, io.Discard, nil)
			require.ErrorIs(t, err, broken)
			require.Equal(t, logTries, opens)
		})
	})
}
