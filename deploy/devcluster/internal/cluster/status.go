package cluster

import (
	"context"
	"errors"
	"time"

	"argosy/deploy/devcluster/internal/proc"
)

// Health is what one program of the node says of itself.
type Health struct {
	Name string
	PID  int   // as the host counts, 0 when it is not running
	Err  error // nil when it does its work
}

// errNotRunning is the health of a program that is not there to ask.
var errNotRunning = errors.New("not running")

// Status asks every program. Without a node it says so of each.
func Status(ctx context.Context) []Health {
	// Without a plan nothing runs, and what is missing is all of it.
	p, err := loadPlan()
	running := map[string]proc.Identity{}
	if err == nil {
		running = runningPrograms()
	}
	var all []Health
	for _, c := range components(p) {
		h := Health{Name: c.name, PID: running[c.name].PID, Err: errNotRunning}
		if h.PID != 0 {
			h.Err = once(ctx, c.probe)
		}
		all = append(all, h)
	}
	return all
}

func runningPrograms() map[string]proc.Identity {
	id, err := proc.Load(pidFile)
	if err != nil || !id.Alive() {
		return nil
	}
	return proc.InNamespaceOf(id.PID)
}

// patience is how long a program that runs may leave a question open. On a loaded
// machine an answer can take seconds, and a cluster in use must not be swept for that.
const patience = 15 * time.Second

// settled says whether all that is wanted runs, and answers before patience ends.
func settled(ctx context.Context, minioOnly bool) bool {
	p, err := loadPlan()
	if err != nil || p.MinIOOnly && !minioOnly {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, c := range components(p) {
		// Looked up each time: a program may end while another is waited for.
		if _, runs := runningPrograms()[c.name]; !runs {
			return false
		}
		if err := await(ctx, c.name, c.probe); err != nil {
			return false
		}
	}
	return p.MinIOOnly || await(ctx, "the default service account", usable) == nil
}
