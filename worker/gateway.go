package worker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"argosy/worker/handover"
	"argosy/workflow"
	"argosy/workflow/spec"
)

// GatewayConfig sets a Gateway up.
type GatewayConfig struct {
	URL    string // as step pods reach it; with https it serves TLS, and nothing else
	Own    string // as pods that stay reach this one and no other; empty: as URL says
	Store  ArtifactStore
	Tokens *Tokens
	// TokenTTL is how long a token holds for a step without a deadline; default 7 days.
	TokenTTL time.Duration
	// Resolve finds the step of a grant that another worker issued; nil serves only own
	// steps. It returns ErrSuperseded if the grant's delivery does not count any more.
	Resolve func(ctx context.Context, g Grant) (*Step, error)
	// Tells is told what steps say of their progress; it returns ErrLeaseLost of one that is not
	// under way. Nil: nobody wants to know.
	Tells func(ctx context.Context, run string, key workflow.Key, p spec.Progress) error
}

// ErrSuperseded says that what a step's pod wants to do does not count any more.
var ErrSuperseded = errors.New("the delivery was superseded")

// errUnknownStep says that the gateway does not know the step: it may be about to, when its
// worker takes over from one that died.
var errUnknownStep = errors.New("the step is not known here yet")

// Gateway is what the runners in step pods talk to. A request carries a token for one
// delivery; nothing else of the store or the queue can be reached with it.
type Gateway struct {
	cfg GatewayConfig
	log *slog.Logger

	mu   sync.Mutex
	open map[attempt]*opened
	pods map[string]func(*handover.Wire) // those that stay and have not come yet
}

// attempt is a leaf of a run. At most one delivery of it counts at a time.
type attempt struct {
	run string
	key workflow.Key
}

type opened struct {
	step  *Step
	plan  *handover.Plan
	grant Grant // with which it was asked for
}

// NewGateway makes a gateway.
func NewGateway(cfg GatewayConfig, log *slog.Logger) *Gateway {
	if cfg.TokenTTL <= 0 {
		cfg.TokenTTL = 7 * 24 * time.Hour
	}
	if cfg.Own == "" {
		cfg.Own = cfg.URL
	}
	return &Gateway{cfg: cfg, log: log, open: map[attempt]*opened{}, pods: map[string]func(*handover.Wire){}}
}

// URL is where step pods reach the gateway.
func (g *Gateway) URL() string { return g.cfg.URL }

// Token issues a token for the step.
func (g *Gateway) Token(s *Step, now time.Time) (string, error) {
	expires := now.Add(g.cfg.TokenTTL)
	if !s.Deadline.IsZero() {
		expires = s.Deadline.Add(time.Hour) // for its uploads
	}
	return g.cfg.Tokens.Issue(Grant{Run: s.Run.ID, Key: s.Key, Delivery: s.Delivery, Expires: expires.Unix()})
}

// Open lets the step's pod in until close is called; pods of other deliveries of the same
// leaf are out from now on.
func (g *Gateway) Open(s *Step, plan *handover.Plan) (closing func()) {
	at, o := attempt{s.Run.ID, s.Key}, &opened{step: s, plan: plan}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open[at] = o
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.open[at] == o {
			delete(g.open, at)
		}
	}
}

// Outcome reads an outcome that the step's runner left with the gateway.
func (g *Gateway) Outcome(ctx context.Context, s *Step, sum string) (*handover.Outcome, error) {
	r, err := g.cfg.Store.For(s).Open(ctx, outcomeArtifact(s), "")
	if err != nil {
		return nil, fmt.Errorf("opening the step's outcome: %w", err)
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, handover.MaxOutcome))
	if err != nil {
		return nil, fmt.Errorf("reading the step's outcome: %w", err)
	}
	if handover.Sum(data) != sum {
		return nil, errors.New("the step's outcome is not the one that its pod announced")
	}
	return decodeOutcome(data)
}

// Plan makes the plan for a step's runner.
func (g *Gateway) Plan(ctx context.Context, s *Step) (*handover.Plan, error) {
	return HandoverPlan(ctx, s, g.cfg.Store.For(s))
}

// Serve answers step pods on the listener until ctx ends.
func (g *Gateway) Serve(ctx context.Context, l net.Listener) error {
	if g.secure() {
		config, err := g.cfg.Tokens.identity.serverTLS()
		if err != nil {
			return err
		}
		l = tls.NewListener(l, config)
	}
	srv := &http.Server{
		Handler:           g.Handler(),
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
		ErrorLog:          slog.NewLogLogger(g.log.Handler(), slog.LevelDebug),
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if srv.Shutdown(grace) != nil {
			srv.Close()
		}
	})
	err := srv.Serve(l)
	if stop() { // it ended without being told to
		return fmt.Errorf("serving step pods: %w", err)
	}
	<-stopped
	return nil
}

// find returns the step of a grant, if that still counts.
func (g *Gateway) find(ctx context.Context, grant Grant) (*opened, error) {
	g.mu.Lock()
	o := g.open[attempt{grant.Run, grant.Key}]
	g.mu.Unlock()
	if o != nil {
		if o.step.Delivery != grant.Delivery {
			return nil, ErrSuperseded
		}
		return &opened{step: o.step, plan: o.plan, grant: grant}, nil
	}
	return g.resolve(ctx, grant)
}

// resolve returns a step that is not this worker's, if it still counts.
func (g *Gateway) resolve(ctx context.Context, grant Grant) (*opened, error) {
	if g.cfg.Resolve == nil {
		return nil, errUnknownStep
	}
	s, err := g.cfg.Resolve(ctx, grant)
	if errors.Is(err, ErrSuperseded) {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnknownStep, err)
	}
	return &opened{step: s, grant: grant}, nil
}
