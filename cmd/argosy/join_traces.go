package main

import (
	"context"

	"argosy/cmd/argosy/internal/join"
	"argosy/coordinator"
	"argosy/tracing"
	"argosy/worker"
)

// observers are told what turns changed.
func (r *role) observers() []coordinator.Observer {
	if r.traces == nil {
		return nil
	}
	return []coordinator.Observer{join.Traces{Tracing: r.traces}}
}

// tracer is told what the time of steps goes into; nil: nobody wants to know.
func (r *role) tracer() worker.Tracer {
	if r.traces == nil {
		return nil
	}
	return join.Traces{Tracing: r.traces}
}

// annotations are added to a workflow that is submitted in a context; nil: none are.
func (r *role) annotations() func(context.Context) map[string]string {
	if r.traces == nil {
		return nil
	}
	return tracing.Annotations
}
