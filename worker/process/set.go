package process

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"argosy/worker"
	"argosy/workflow"
	"argosy/workflow/spec"
)

// member is a container of a set.
type member struct {
	of     *spec.ContainerNode
	done   chan struct{} // closed when it has ended
	result workflow.Result
	err    error
	waited bool // it ended for what another did
}

// runSet runs a graph of containers. The files that are staged and kept are those of main.
func (p *pod) runSet(ctx context.Context, set *spec.ContainerSetTemplate) (workflow.Result, error) {
	tries, pause, err := worker.SetRetries(set.RetryStrategy)
	if err != nil {
		return workflow.Result{}, invalid(err)
	}
	members := map[string]*member{}
	for i := range set.Containers {
		c := &set.Containers[i]
		members[c.Name] = &member{of: c, done: make(chan struct{})}
	}
	started := time.Now()
	var main *boxed // stays open until all have ended, for its files are the set's outputs
	var all sync.WaitGroup
	for i := range set.Containers {
		m := members[set.Containers[i].Name]
		all.Go(func() {
			defer close(m.done)
			if p.await(ctx, members, m); m.waited || m.err != nil {
				return
			}
			box, err := p.container(ctx, &m.of.Container, m.of.Command, m.of.Args, slices.Concat(set.VolumeMounts, m.of.VolumeMounts))
			if err != nil {
				m.err = err
				return
			}
			isMain := m.of.Name == worker.MainContainer
			if isMain {
				main = box
			} else {
				defer box.Close()
			}
			if isMain && p.s.Before != nil {
				if m.err = stage(ctx, box.Sandbox, p.s.Before); m.err != nil {
					return
				}
			}
			m.result, m.err = p.tries(ctx, box, m.of.Name, isMain && p.s.CaptureResult, tries, pause)
		})
	}
	all.Wait()
	if main != nil {
		defer main.Close()
	}
	r, err := outcomeOf(set, members)
	r.Started, r.Finished = workflow.At(started), workflow.At(time.Now())
	if err == nil && p.s.After != nil && main != nil {
		if err := keep(ctx, main.Sandbox, p.s.After, &r); err != nil && r.Phase == spec.NodeSucceeded {
			return r, err
		}
	}
	return r, err
}

// await waits for those that a container depends on. If one of them failed the container ends
// without having run.
func (p *pod) await(ctx context.Context, members map[string]*member, m *member) {
	for _, name := range m.of.Dependencies {
		on := members[name]
		select {
		case <-on.done:
		case <-ctx.Done():
			m.err = fmt.Errorf("ending the step: %w", context.Cause(ctx))
			return
		}
		if on.err == nil && on.result.Phase == spec.NodeSucceeded {
			continue
		}
		code := worker.StartExitCode
		if on.result.Outputs != nil && on.result.Outputs.ExitCode != nil {
			code = *on.result.Outputs.ExitCode
		}
		m.waited = true
		m.result = worker.Named(m.of.Name, worker.Exited(worker.StartExitCode, fmt.Sprintf("dependency %q exited with non-zero code: %d", name, code)))
		m.result.Started = workflow.At(time.Now())
		m.result.Finished = m.result.Started
		return
	}
}

// tries runs a container's command until it succeeds or was tried often enough. A command that
// cannot be found is not tried again.
func (p *pod) tries(ctx context.Context, box *boxed, name string, capture bool, tries int, pause time.Duration) (workflow.Result, error) {
	for try := 1; ; try++ {
		r, err := p.command(ctx, box, name, capture)
		absent := r.Outputs != nil && r.Outputs.ExitCode != nil && *r.Outputs.ExitCode == worker.StartExitCode
		if err != nil || r.Phase == spec.NodeSucceeded || absent || try >= tries {
			return r, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return r, fmt.Errorf("ending the step: %w", context.Cause(ctx))
		}
	}
}

// outcomeOf is how a set ended: as Failed if any of its containers did, with what main left.
func outcomeOf(set *spec.ContainerSetTemplate, members map[string]*member) (workflow.Result, error) {
	r := workflow.Result{Phase: spec.NodeSucceeded}
	var failed *member // main if it failed, or else the first that did by itself
	for i := range set.Containers {
		m := members[set.Containers[i].Name]
		if m.err != nil {
			return r, m.err
		}
		isMain := m.of.Name == worker.MainContainer
		if m.result.Phase != spec.NodeSucceeded && !m.waited && (failed == nil || isMain) {
			failed = m
		}
		if isMain {
			r.Outputs = m.result.Outputs
		}
		r.Containers = append(r.Containers, workflow.Container{
			Name: m.of.Name, Phase: m.result.Phase, Message: m.result.Message, Started: m.result.Started, Finished: m.result.Finished,
		})
	}
	if failed != nil {
		r.Phase, r.Message = failed.result.Phase, failed.result.Message
	}
	return r, nil
}
