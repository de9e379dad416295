package autoscale

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Observer counts what a pool has to do. It leaves Replicas alone. Not knowing
// is an error, never a zero.
type Observer interface {
	Observe(ctx context.Context, pool string) (Observation, error)
}

// Scaler sets the number of a pool's workers.
type Scaler interface {
	Replicas(ctx context.Context) (int, error)
	Scale(ctx context.Context, replicas int) error
}

// ErrManaged is what a Scaler returns when something else sizes the workers.
var ErrManaged = errors.New("another autoscaler manages the workers")

// Config is what a Loop is made of.
type Config struct {
	Pool     string
	Policy   Policy
	Interval time.Duration // between steps; 0 is 2 s
	Observer Observer
	Scaler   Scaler
	Metrics  *Metrics
	Log      *slog.Logger
}

// Loop sizes one pool. It belongs to one goroutine.
type Loop struct {
	cfg     Config
	history History
	told    string // what the log said last
}

const (
	defaultInterval = 2 * time.Second
	// patience bounds one step: a call that hangs must not end the watching.
	patience = 15 * time.Second
)

// NewLoop checks the configuration.
func NewLoop(cfg Config) (*Loop, error) {
	if cfg.Interval == 0 {
		cfg.Interval = defaultInterval
	}
	if cfg.Policy.MaxGap == 0 {
		cfg.Policy.MaxGap = 3*cfg.Interval + patience
	}
	if err := cfg.Policy.Validate(); err != nil {
		return nil, fmt.Errorf("autoscaling the pool %s: %w", cfg.Pool, err)
	}
	return &Loop{cfg: cfg}, nil
}

// Run steps until the context ends.
func (l *Loop) Run(ctx context.Context) {
	tick := time.NewTicker(l.cfg.Interval)
	defer tick.Stop()
	for {
		l.Step(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Step observes, decides and acts once. It returns what was decided; when it
// could not see or act, that is to hold.
func (l *Loop) Step(ctx context.Context) Decision {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	o, err := l.observe(ctx)
	if err != nil {
		return l.hold(ctx, "observe", err)
	}
	d := Decide(l.cfg.Policy, l.history, o)
	l.cfg.Metrics.decided(o, d)
	if d.Hold {
		return l.hold(ctx, string(d.Reason), fmt.Errorf("the observation of %s is no newer than the last", o.At.Format(time.RFC3339Nano)))
	}
	l.history = l.history.Add(l.cfg.Policy, d)
	if d.Want != o.Replicas {
		if err := l.cfg.Scaler.Scale(ctx, d.Want); err != nil {
			return l.hold(ctx, "scale", err)
		}
		l.cfg.Metrics.scaled(l.cfg.Pool, o.Replicas, d.Want)
	}
	l.tell(ctx, slog.LevelInfo, fmt.Sprintf("%d %s", d.Want, d.Reason), "scale",
		slog.Int("from", o.Replicas), slog.Int("to", d.Want), slog.String("decision", d.String()),
		slog.Int("ready", o.Ready), slog.Int("running", o.Running), slog.Int("waiting", o.Waiting), slog.Duration("oldest", o.OldestAge))
	return d
}

func (l *Loop) observe(ctx context.Context) (Observation, error) {
	replicas, err := l.cfg.Scaler.Replicas(ctx)
	if err != nil {
		return Observation{}, fmt.Errorf("counting the workers: %w", err)
	}
	o, err := l.cfg.Observer.Observe(ctx, l.cfg.Pool)
	if err != nil {
		return Observation{}, fmt.Errorf("observing the pool: %w", err)
	}
	if o.At.IsZero() || o.Ready < 0 || o.Running < 0 || o.Waiting < 0 {
		return Observation{}, fmt.Errorf("observing the pool: %+v makes no sense", o)
	}
	o.Pool, o.Replicas = l.cfg.Pool, replicas
	return o, nil
}

func (l *Loop) hold(ctx context.Context, reason string, err error) Decision {
	l.cfg.Metrics.held(l.cfg.Pool, reason)
	l.tell(ctx, slog.LevelWarn, "hold "+reason, "hold", slog.String("reason", reason), slog.Any("error", err))
	return Decision{Hold: true, Reason: Reason(reason)}
}

// tell logs once per change of state, not once per step.
func (l *Loop) tell(ctx context.Context, level slog.Level, state, message string, attrs ...slog.Attr) {
	if state == l.told {
		return
	}
	l.told = state
	l.cfg.Log.LogAttrs(context.WithoutCancel(ctx), level, message, append([]slog.Attr{slog.String("pool", l.cfg.Pool)}, attrs...)...)
}
