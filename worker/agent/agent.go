// Package agent runs what needs neither a process nor a pod: the requests of http templates,
// the lists of data templates, and plugin templates, for which it asks programs of others. The
// worker does so itself, whatever its executor is.
//
// Requests go through an egress.Guard. Secrets are those of the run's namespace.
package agent

import (
	"context"
	"net/http"
	"time"

	"argosy/worker"
	"argosy/worker/egress"
	"argosy/worker/rpc"
	"argosy/workflow"
)

// Agent runs http, data and plugin templates, and leaves the others to an executor.
type Agent struct {
	next    worker.Executor
	objects worker.Objects
	store   worker.ArtifactStore
	clients map[bool]*http.Client // by whether certificates are not looked at
	plugins []*rpc.Plugin         // asked in this order
	host    string
}

// New puts an agent before an executor. Host is where the worker runs.
func New(next worker.Executor, guard *egress.Guard, objects worker.Objects, store worker.ArtifactStore, plugins []*rpc.Plugin, host string) *Agent {
	return &Agent{
		next: next, objects: objects, store: store, plugins: plugins, host: host,
		clients: map[bool]*http.Client{
			false: {Transport: guard.Transport(false)},
			true:  {Transport: guard.Transport(true)},
		},
	}
}

// Execute implements worker.Executor.
func (a *Agent) Execute(ctx context.Context, s *worker.Step) (workflow.Result, error) {
	var do func(context.Context, *worker.Step) (workflow.Result, error)
	switch {
	case s.Template.HTTP != nil:
		do = a.request
	case s.Template.Data != nil:
		do = a.data
	case s.Template.Plugin != nil:
		do = a.plugin
	default:
		return a.next.Execute(ctx, s)
	}
	started := time.Now()
	// What watches over the deadlines of steps elsewhere does not watch over this one.
	r, err := worker.Deadline(worker.ExecutorFunc(do)).Execute(ctx, s)
	r.Started, r.Finished, r.Host = workflow.At(started), workflow.At(time.Now()), a.host
	return r, err
}
