package sandbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// ErrLost says that a helper ended in the middle of its work: killed, or out of memory.
var ErrLost = errors.New("the sandbox helper is gone")

var errClosed = errors.New("the sandbox pool is closed")

// Config says how sandboxes are made.
type Config struct {
	// Scratch is where steps write: "" keeps it in memory, a path puts it on that
	// directory's disk. A directory may serve several pools and processes.
	Scratch string
	// Memory bounds what one step may write when Scratch is in memory; at the bound it
	// meets "no space left on device". 0 means a quarter of the machine's memory.
	Memory int64
	// Hide names directories of the host that steps find empty. They must exist.
	Hide []string
	// Volumes is a directory of the host, which must exist, whose subdirectories sandboxes can
	// mount; steps do not see it otherwise. "" is none.
	Volumes string
	// Idle is how long an unused helper stays; 0 means a minute.
	Idle time.Duration
	Log  *slog.Logger
}

// Pool keeps helpers ready and lends one to each sandbox.
type Pool struct {
	cfg        Config
	helper     helperConfig
	privileged bool
	layout     string
	scratch    *scratchDir // nil when in memory

	mu     sync.Mutex
	idle   []idleSlot // the most recently used last
	busy   map[*slot]bool
	slots  int // ever started: names their directories
	closed bool
	gone   sync.WaitGroup // helpers on their way out
	reap   *time.Timer
}

type idleSlot struct {
	*slot
	since time.Time
}

// NewPool checks that steps can be isolated here, by setting one helper up, and says
// precisely why when they cannot. There is no mode with less isolation.
func NewPool(ctx context.Context, cfg Config) (*Pool, error) {
	if cfg.Idle == 0 {
		cfg.Idle = time.Minute
	}
	if cfg.Memory == 0 {
		cfg.Memory = quarterOfMemory()
	}
	p := &Pool{cfg: cfg, helper: helperConfig{Memory: cfg.Memory}, busy: map[*slot]bool{}}
	hide := cfg.Hide
	if cfg.Volumes != "" {
		hide = append(hide[:len(hide):len(hide)], cfg.Volumes)
	}
	for _, dir := range hide {
		// One that does not exist is refused: it could come to be later, and be seen.
		real, err := filepath.EvalSymlinks(dir)
		if err != nil {
			return nil, fmt.Errorf("resolving the hidden directory %s: %w", dir, err)
		}
		if real, err = filepath.Abs(real); err != nil {
			return nil, fmt.Errorf("resolving the hidden directory %s: %w", dir, err)
		}
		if p.helper.Hide = append(p.helper.Hide, real); dir == cfg.Volumes {
			p.helper.Volumes = real
		}
	}
	if cfg.Scratch != "" {
		var err error
		if p.scratch, err = openScratchDir(cfg.Scratch); err != nil {
			return nil, err
		}
		p.helper.Hide = append(p.helper.Hide, p.scratch.parent)
	}
	s, privileged, err := probe(p.start)
	if err != nil {
		p.scratch.close()
		return nil, err
	}
	p.privileged, p.layout = privileged, s.hello.Layout
	for _, w := range s.hello.Warnings {
		cfg.Log.WarnContext(ctx, "sandbox", "warning", w)
	}
	p.idle = append(p.idle, idleSlot{s, time.Now()})
	p.reap = time.AfterFunc(cfg.Idle, p.retire)
	return p, nil
}

// Layout tells how steps' roots are put together: "whole" or "split".
func (p *Pool) Layout() string { return p.layout }

// start brings a new helper up.
func (p *Pool) start(privileged bool) (*slot, error) {
	cfg := p.helper
	if p.scratch != nil {
		p.mu.Lock()
		p.slots++
		n := p.slots
		p.mu.Unlock()
		dir := filepath.Join(p.scratch.path, strconv.Itoa(n))
		if err := os.Mkdir(dir, 0o700); err != nil {
			return nil, fmt.Errorf("making a sandbox's scratch directory: %w", err)
		}
		cfg.Scratch = dir
	}
	s, err := startSlot(cfg, privileged)
	if err != nil {
		return nil, err
	}
	s.dir = cfg.Scratch
	return s, nil
}

// Get returns a sandbox for one step. Close must follow.
func (p *Pool) Get(ctx context.Context) (*Sandbox, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, errClosed
	}
	if n := len(p.idle); n > 0 {
		s := p.idle[n-1].slot
		p.idle = p.idle[:n-1]
		p.busy[s] = true
		p.mu.Unlock()
		s.seq++
		return &Sandbox{pool: p, slot: s, seq: s.seq}, nil
	}
	p.mu.Unlock()

	s, err := p.start(p.privileged)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		s.kill()
		return nil, errClosed
	}
	p.busy[s] = true
	p.mu.Unlock()
	s.seq++
	return &Sandbox{pool: p, slot: s, seq: s.seq}, nil
}

// put takes a slot back.
func (p *Pool) put(s *slot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.busy, s)
	if s.stale || p.closed {
		p.discard(s)
		return
	}
	p.idle = append(p.idle, idleSlot{s, time.Now()})
}

// hangUpTime is how long a helper may take to tear its last step down.
const hangUpTime = 10 * time.Second

// discard ends a helper in the background; p.mu is held.
func (p *Pool) discard(s *slot) {
	p.gone.Add(1)
	go func() {
		defer p.gone.Done()
		s.hangUp(hangUpTime)
		if s.dir == "" {
			return
		}
		if err := removeAll(s.dir); err != nil {
			p.cfg.Log.Warn("sandbox files are left until the pool closes", "dir", s.dir, "err", err)
		}
	}()
}

// retire ends helpers that nobody needed for a while.
func (p *Pool) retire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	old := 0
	for old < len(p.idle) && time.Since(p.idle[old].since) >= p.cfg.Idle {
		p.discard(p.idle[old].slot)
		old++
	}
	p.idle = append([]idleSlot(nil), p.idle[old:]...)
	p.reap.Reset(p.cfg.Idle)
}

// Close ends all helpers, whatever they run, and removes what they kept on disk. When it
// returns nothing of any step is left.
func (p *Pool) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	p.closed = true
	p.reap.Stop()
	for _, s := range p.idle {
		p.discard(s.slot)
	}
	p.idle = nil
	for s := range p.busy {
		s.cmd.Process.Kill() //nolint:errcheck // it may have ended by itself
	}
	p.mu.Unlock()
	p.gone.Wait()
	return p.scratch.close()
}
