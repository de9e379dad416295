package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
)

const (
	// logPatience is how long a log may take to be complete once its container has ended.
	logPatience = 15 * time.Second
	// logSettles is how long a log must have had nothing new to be complete. A node shows a
	// container as ended when it has taken all of its output from it, with the last few
	// kilobytes still on their way into the log.
	logSettles = 250 * time.Millisecond
	// logBurst is how many bytes that is at most: a log that was read but once, and had settled, is
	// complete if it has no more.
	logBurst = 4096
	// logBegins is how long a container runs before its log is followed. Most are gone by then, and
	// each opening costs the API server and the node some milliseconds.
	logBegins = time.Second
	// logAgain is how soon a log is opened again that ended while its container is shown to run, and
	// logAgainMost how soon if it had nothing new each time: most often the container has ended, and
	// a busy node is late to show it.
	logAgain, logAgainMost = 2 * time.Second, 16 * time.Second
	// logTries is how often in a row a log is opened that breaks each time.
	logTries = 5
)

// logCopy follows the log of a step's main container. Its methods work on nil, for a step
// whose log nobody wants or that never started.
type logCopy struct {
	cancel context.CancelFunc
	ended  chan struct{} // closed when the container is known to have ended
	done   chan struct{}
}

// logCopies are those of a step's containers, by name.
type logCopies map[string]*logCopy

// followLogs starts to follow the logs that there are.
func (f *following) followLogs(pod *corev1.Pod) {
	if pod == nil || f.step.Log == io.Discard {
		return
	}
	if f.step.Template.ContainerSet == nil {
		f.followLog(pod, mainContainer, f.step.Log)
		return
	}
	if f.logs == nil {
		f.logs = logCopies{}
		f.shared = &lockedLog{to: f.step.Log}
	}
	for i := range f.step.Template.ContainerSet.Containers {
		f.followLog(pod, f.step.Template.ContainerSet.Containers[i].Name, f.shared)
	}
}

// followLog starts to follow a container's log once there is one.
func (f *following) followLog(pod *corev1.Pod, container string, to io.Writer) {
	status := containerStatus(pod.Status.ContainerStatuses, container)
	if f.logs[container] != nil || status == nil || (status.State.Running == nil && (status.State.Terminated == nil || status.ContainerID == "")) {
		return
	}
	open := func(ctx context.Context, follow bool) (io.ReadCloser, error) {
		return f.client.CoreV1().Pods(f.name.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{
			Container: container,
			Follow:    follow,
		}).Stream(ctx)
	}
	if f.logs == nil {
		f.logs = logCopies{}
	}
	f.logs[container] = startLogCopy(open, to, f.log)
}

// complete waits until all are complete, within reason.
func (l logCopies) complete(ctx context.Context) {
	var all sync.WaitGroup
	for _, c := range l {
		all.Go(func() { c.complete(ctx) })
	}
	all.Wait()
}

func (l logCopies) stop() {
	for _, c := range l {
		c.stop()
	}
}

// lockedLog takes what several containers write.
type lockedLog struct {
	mu sync.Mutex
	to io.Writer
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.to.Write(p)
}

func startLogCopy(open openLog, to io.Writer, log *slog.Logger) *logCopy {
	ctx, cancel := context.WithCancel(context.Background())
	c := &logCopy{cancel: cancel, ended: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(c.done)
		if err := copyLog(ctx, open, to, c.ended); err != nil && ctx.Err() == nil {
			log.Warn("the step's log is cut", "err", err)
		}
	}()
	return c
}

// openLog opens a log at its beginning. One that is followed ends when the node sees the
// container end, or for no reason at all; one that is not ends where it ends now.
type openLog func(ctx context.Context, follow bool) (io.ReadCloser, error)

// copyLog copies the log to its end: once the container has ended, until nothing new came
// for a while. A stream that breaks is taken up where it broke.
func copyLog(ctx context.Context, open openLog, to io.Writer, ended <-chan struct{}) error {
	out := &counter{to: to}
	pause(ctx, logBegins, ended)
	grown, failed, again := time.Now(), 0, logAgain
	for {
		over := isClosed(ended)
		if over {
			pause(ctx, logSettles-time.Since(grown), nil)
		}
		before := out.n
		err := readLog(ctx, open, out, !over)
		if out.n > before {
			grown, again = time.Now(), logAgain
		}
		if failed++; err == nil {
			failed = 0
		}
		switch {
		case ctx.Err() != nil, errors.Is(err, errLogSink), failed == logTries:
			return err
		case err != nil:
			pause(ctx, time.Duration(failed)*100*time.Millisecond, nil)
		case over && (out.n == before || before == 0 && out.n <= logBurst):
			return nil
		case !over:
			pause(ctx, again, ended)
			again = min(2*again, logAgainMost)
		}
	}
}

// pause waits for a time, or until something is over.
func pause(ctx context.Context, d time.Duration, over <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-over:
	case <-timer.C:
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func readLog(ctx context.Context, open openLog, out *counter, follow bool) error {
	stream, err := open(ctx, follow)
	if err != nil {
		return fmt.Errorf("opening the log: %w", err)
	}
	defer stream.Close()
	// The API can go on from a second, not from a byte: start over and skip.
	switch _, err := io.CopyN(io.Discard, stream, out.n); {
	case errors.Is(err, io.EOF) && !follow:
		return nil // rotated away: we have more than the node has
	case err != nil:
		return fmt.Errorf("finding the place in the log: %w", err)
	}
	if _, err := io.Copy(out, stream); err != nil {
		return fmt.Errorf("reading the log: %w", err)
	}
	return nil
}

// errLogSink marks trouble with where the log goes.
var errLogSink = errors.New("writing the log")

// counter counts what went through.
type counter struct {
	to io.Writer
	n  int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.n += int64(n)
	if err != nil {
		return n, fmt.Errorf("%w: %w", errLogSink, err)
	}
	return n, nil
}

// complete waits until the log of a container that has ended is complete, within reason.
// It is called once.
func (c *logCopy) complete(ctx context.Context) {
	if c == nil {
		return
	}
	close(c.ended)
	timer := time.NewTimer(logPatience)
	defer timer.Stop()
	select {
	case <-c.done:
	case <-timer.C:
	case <-ctx.Done():
	}
	c.stop()
}

// stop ends the copying.
func (c *logCopy) stop() {
	if c == nil {
		return
	}
	c.cancel()
	<-c.done
}
