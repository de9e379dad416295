package cluster

import (
	"context"
	"errors"
	"os"

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
func Status(ctx context.Context) (all []Health, minioOnly bool) {
	minioOnly = isMinIOOnly()
	id, err := proc.Load(pidFile)
	running := map[string]proc.Identity{}
	if err == nil && id.Alive() {
		running = proc.InNamespaceOf(id.PID)
	}
	for _, c := range components(Binaries{}, minioOnly) {
		h := Health{Name: c.name, PID: running[c.name].PID, Err: errNotRunning}
		if h.PID != 0 {
			h.Err = once(ctx, c.probe)
		}
		all = append(all, h)
	}
	return all, minioOnly
}

// healthy says whether all that is wanted is there and does its work.
func healthy(ctx context.Context, minioOnlyWanted bool) bool {
	all, minioOnly := Status(ctx)
	if minioOnly && !minioOnlyWanted {
		return false
	}
	for _, h := range all {
		if h.Err != nil {
			return false
		}
	}
	return minioOnly || once(ctx, usable) == nil
}

// isMinIOOnly tells a node without Kubernetes by the kubeconfig it lacks.
func isMinIOOnly() bool {
	_, noKubeconfig := os.Stat(Kubeconfig)
	_, noNode := os.Stat(pidFile)
	return noKubeconfig != nil && noNode == nil
}
