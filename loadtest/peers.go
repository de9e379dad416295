package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
)

// asynqQueue is where the peers' tasks are, beside Argosy's own.
const asynqQueue = "peer"

// asynqServer starts a server with one slot per core. Polling at 0 is asynq's default.
func asynqServer(addr string, polling time.Duration, handle asynq.HandlerFunc) (*asynq.Server, error) {
	s := asynq.NewServer(asynq.RedisClientOpt{Addr: addr}, asynq.Config{
		Concurrency: runtime.NumCPU(), Queues: map[string]int{asynqQueue: 1},
		TaskCheckInterval: polling, LogLevel: asynq.FatalLevel,
	})
	if err := s.Start(handle); err != nil {
		return nil, fmt.Errorf("starting asynq: %w", err)
	}
	return s, nil
}

// asynqHop measures asynq alone: from enqueue to the handler, one task after the other.
func asynqHop(ctx context.Context, addr string, polling time.Duration, n int) (p peer, err error) {
	arrived := make(chan time.Time, 1)
	s, err := asynqServer(addr, polling, func(context.Context, *asynq.Task) error {
		arrived <- time.Now()
		return nil
	})
	if err != nil {
		return p, err
	}
	defer s.Shutdown()
	c := asynq.NewClient(asynq.RedisClientOpt{Addr: addr})
	defer func() { err = errors.Join(err, c.Close()) }()
	var samples []time.Duration
	for range n {
		start := time.Now()
		if _, err := c.EnqueueContext(ctx, asynq.NewTask("peer", nil), asynq.Queue(asynqQueue)); err != nil {
			return p, fmt.Errorf("enqueuing with asynq: %w", err)
		}
		select {
		case at := <-arrived:
			samples = append(samples, at.Sub(start))
		case <-ctx.Done():
			return p, ctx.Err()
		}
	}
	p = peer{Name: "asynq hop, polling as by default", Unit: "ms", Samples: inMillis(samples)}
	if polling > 0 {
		p.Name = fmt.Sprintf("asynq hop, polling every %v", polling)
	}
	p.Value = p.Samples.P50
	return p, nil
}

// asynqThroughput measures how many tasks per second asynq alone hands to a handler that
// does nothing, from the first to the last of n that are queued.
func asynqThroughput(ctx context.Context, addr string, n int) (p peer, err error) {
	c := asynq.NewClient(asynq.RedisClientOpt{Addr: addr})
	defer func() { err = errors.Join(err, c.Close()) }()
	for i := range n {
		if _, err := c.EnqueueContext(ctx, asynq.NewTask("peer", []byte(strconv.Itoa(i))), asynq.Queue(asynqQueue)); err != nil {
			return p, fmt.Errorf("enqueuing with asynq: %w", err)
		}
	}
	var count atomic.Int64
	all := make(chan struct{})
	start := time.Now()
	s, err := asynqServer(addr, 0, func(context.Context, *asynq.Task) error {
		if count.Add(1) == int64(n) {
			close(all)
		}
		return nil
	})
	if err != nil {
		return p, err
	}
	defer s.Shutdown()
	select {
	case <-all:
	case <-ctx.Done():
		return p, ctx.Err()
	}
	took := time.Since(start)
	return peer{Name: "asynq alone, tasks queued before", Value: round(float64(n) / took.Seconds()), Unit: "/s", Samples: inSeconds([]time.Duration{took})}, nil
}

// bareExec measures what no process step can be faster than: starting true and waiting.
func bareExec(ctx context.Context, n int) (peer, error) {
	path, err := exec.LookPath("true")
	if err != nil {
		return peer{}, fmt.Errorf("finding true: %w", err)
	}
	var samples []time.Duration
	for range n {
		start := time.Now()
		if err := exec.CommandContext(ctx, path).Run(); err != nil {
			return peer{}, fmt.Errorf("running true: %w", err)
		}
		samples = append(samples, time.Since(start))
	}
	p := peer{Name: "exec of true", Unit: "ms", Samples: inMillis(samples)}
	p.Value = p.Samples.P50
	return p, nil
}

// numbers are n lines.
func numbers(n int) *strings.Reader {
	var lines strings.Builder
	for i := range n {
		fmt.Fprintln(&lines, i)
	}
	return strings.NewReader(lines.String())
}
