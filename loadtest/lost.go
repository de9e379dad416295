package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/hibiken/asynq"
)

// lostStep is what a step of lostWorker does once it runs undisturbed.
const lostStep = time.Second

// lostWorker measures how long after a worker's kill -9 its step begins anew elsewhere, the
// worst of n times, against asynq with a server that is killed.
func lostWorker(ctx context.Context, b bench) (m measurement, err error) {
	var samples []time.Duration
	for i := range b.n {
		took, err := lostOnce(ctx, b)
		if err != nil {
			return m, err
		}
		fmt.Fprintf(b.log, "   worker %d: its step began anew after %v\n", i+1, took.Round(time.Millisecond))
		samples = append(samples, took)
	}
	m.samples = inSeconds(samples)
	m.value = m.samples.Max
	p, err := asynqLost(ctx, b)
	m.peers = []peer{p}
	return m, err
}

func lostOnce(ctx context.Context, b bench) (took time.Duration, err error) {
	sh := plain("process")
	sh.slots = 1
	err = withFleet(ctx, b, sh, func(f *fleet) error {
		// The step tells that it has begun by its log, and each time it does, it has not ended before.
		text := header + "  - name: main\n    container: {image: busybox, command: [sh, -c, \"echo begun; sleep 1\"]}\n"
		wf, err := named(text, "lost")
		if err != nil {
			return err
		}
		if _, err := f.client.Submit(ctx, namespace, wf, false); err != nil {
			return fmt.Errorf("submitting: %w", err)
		}
		first := f.find("worker")
		for n := 0.0; n == 0; {
			if n, err = first.counter(ctx, "argosy_worker_steps_in_flight"); err != nil {
				return err
			}
		}
		start := time.Now()
		first.end(syscall.SIGKILL)
		if err := f.startWorker(ctx, "worker-2"); err != nil {
			return err
		}
		for {
			end, err := f.look(ctx, wf.Name)
			if err != nil {
				return err
			}
			if end.Phase.Completed() {
				took = time.Since(start) - lostStep
				if end.Phase != "Succeeded" {
					return fmt.Errorf("the run ended as %s: %s", end.Phase, end.Message)
				}
				return nil
			}
			if err := pause(ctx, 10*time.Millisecond); err != nil {
				return err
			}
		}
	})
	return took, err
}

// asynqArg has this program serve asynq's queue: loadtest asynq address file. Each task appends
// a line to the file and takes an hour.
const asynqArg = "asynq"

func runAsynq(args []string) error {
	if len(args) != 2 {
		return errors.New("usage: loadtest asynq address file")
	}
	s, err := asynqServer(args[0], 0, func(ctx context.Context, _ *asynq.Task) error {
		file, err := os.OpenFile(args[1], os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		defer file.Close()
		if _, err := file.WriteString("begun\n"); err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	defer s.Shutdown()
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM)
	<-told
	return nil
}

// asynqLost measures, once, how long after the kill of an asynq server its task begins anew at
// another one.
func asynqLost(ctx context.Context, b bench) (p peer, err error) {
	f, err := startRedis(ctx)
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, f.stop()) }()
	self, err := os.Executable()
	if err != nil {
		return p, fmt.Errorf("finding this program: %w", err)
	}
	c := asynq.NewClient(asynq.RedisClientOpt{Addr: f.redis})
	defer func() { err = errors.Join(err, c.Close()) }()
	if _, err := c.EnqueueContext(ctx, asynq.NewTask("peer", nil), asynq.Queue(asynqQueue)); err != nil {
		return p, fmt.Errorf("enqueuing with asynq: %w", err)
	}
	var began time.Time
	for i, name := range []string{"asynq-1", "asynq-2"} {
		log := filepath.Join(f.dir, name+".tasks")
		if err := f.start(name, self, asynqArg, f.redis, log); err != nil {
			return p, err
		}
		for {
			if body, err := os.ReadFile(log); err == nil && len(body) > 0 {
				break
			}
			if err := pause(ctx, 10*time.Millisecond); err != nil {
				return p, err
			}
		}
		if i == 0 {
			began = time.Now()
			f.find(name).end(syscall.SIGKILL)
		}
	}
	took := time.Since(began)
	fmt.Fprintf(b.log, "   asynq: its task began anew after %v\n", took.Round(time.Millisecond))
	p = peer{Name: "asynq, its server killed", Unit: "s", Samples: inSeconds([]time.Duration{took})}
	p.Value = p.Samples.P50
	return p, nil
}
