package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// logPatience is how long a log may take to be complete once its container has ended.
const logPatience = 15 * time.Second

// logCopy follows the log of a step's main container. Its methods work on nil, for a step
// whose log nobody wants or that never started.
type logCopy struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// followLogs starts to follow the log once there is one.
func (f *following) followLogs(pod *corev1.Pod) {
	if f.logs != nil || pod == nil || f.step.Log == io.Discard {
		return
	}
	main := containerStatus(pod.Status.ContainerStatuses, mainContainer)
	if main == nil || (main.State.Running == nil && (main.State.Terminated == nil || main.ContainerID == "")) {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &logCopy{cancel: cancel, done: make(chan struct{})}
	f.logs = c
	go func() {
		defer close(c.done)
		if err := f.copyLog(ctx, pod.Name); err != nil && ctx.Err() == nil {
			f.log.Warn("the step's log is cut", "err", err)
		}
	}()
}

// copyLog copies the log to its end. A stream that breaks is taken up where it broke.
func (f *following) copyLog(ctx context.Context, pod string) error {
	out := &counter{to: f.step.Log}
	follow := true
	for try := 1; ; try++ {
		before := out.n
		err := f.streamLog(ctx, pod, out, follow)
		switch {
		case ctx.Err() != nil, errors.Is(err, errLogSink), err != nil && try >= logTries:
			return err
		case err == nil && follow:
			// The kubelet stops following when the container ends, even with lines of it
			// still unread: what is left is read without following.
			follow = false
			continue
		case err == nil && out.n == before:
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(min(try, logTries)) * 100 * time.Millisecond):
		}
	}
}

// logTries is how often a log is opened that breaks each time.
const logTries = 5

func (f *following) streamLog(ctx context.Context, pod string, out *counter, follow bool) error {
	stream, err := f.client.CoreV1().Pods(f.name.Namespace).GetLogs(pod, &corev1.PodLogOptions{
		Container: mainContainer,
		Follow:    follow,
	}).Stream(ctx)
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

// complete waits until the log is complete, within reason.
func (c *logCopy) complete(ctx context.Context) {
	if c == nil {
		return
	}
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
