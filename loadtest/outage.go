package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"
)

// outage runs chaosText with b.n items while something is away for a time, and measures how
// long after that the run's next step is done. The run has to end right.
func outage(lasts time.Duration, begin func(*fleet) (end func() error)) func(context.Context, bench) (measurement, error) {
	return func(ctx context.Context, b bench) (m measurement, err error) {
		f, err := startChaos(ctx, b)
		if err != nil {
			return m, err
		}
		defer func() {
			if err != nil {
				err = fmt.Errorf("%w\n%s", err, f.logs())
			}
			err = errors.Join(err, f.stop())
		}()
		name := fmt.Sprintf("outage-%d", b.seed)
		wf, err := parse(fmt.Sprintf(chaosText, name, b.n/2))
		if err != nil {
			return m, err
		}
		if _, err := f.client.Submit(ctx, namespace, wf, false); err != nil {
			return m, fmt.Errorf("submitting: %w", err)
		}
		if err := pause(ctx, time.Second); err != nil {
			return m, err
		}
		end := begin(f)
		if err := errors.Join(pause(ctx, lasts), end()); err != nil {
			return m, err
		}
		back, before := time.Now(), 0
		for took := time.Duration(0); ; {
			done, ended := f.done(ctx, name)
			if before == 0 {
				before = done
			}
			if took == 0 && (done > before || ended) {
				took = time.Since(back)
			}
			if ended {
				return measurement{value: took.Seconds(), notes: map[string]float64{
					"done before": float64(before), "seconds to the end": time.Since(back).Seconds(),
				}}, f.checkChaos(ctx, name, b.n)
			}
			if time.Since(back) > chaosLimit {
				return m, errors.New("the run is wedged")
			}
			if err := pause(ctx, 100*time.Millisecond); err != nil {
				return m, err
			}
		}
	}
}

// stall stops Redis without closing a connection.
func stall(f *fleet) (end func() error) {
	redis := f.find("redis").cmd.Process
	_ = redis.Signal(syscall.SIGSTOP)
	return func() error { return redis.Signal(syscall.SIGCONT) }
}

// takeAway kills MinIO, and starts it again.
func takeAway(f *fleet) (end func() error) {
	minio := f.find("minio")
	minio.end(syscall.SIGKILL)
	return func() error {
		again, err := minio.again()
		if err == nil {
			*minio = *again
		}
		return err
	}
}

// done is how many steps of a run are done; 0 while nobody can tell.
func (f *fleet) done(ctx context.Context, name string) (done int, ended bool) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	wf, err := f.client.Get(ctx, namespace, name, "status.phase,status.progress")
	if err != nil {
		return 0, false
	}
	_, _ = fmt.Sscanf(string(wf.Status.Progress), "%d/", &done)
	return done, wf.Status.Phase.Completed()
}
