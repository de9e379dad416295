package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"argosy/worker"
	"argosy/worker/process/sandbox"
	"argosy/workflow"
	"argosy/workflow/spec"
)

// pod is a step under way: its containers, each in a sandbox, and what they share.
//
//	volumes -> init containers, one after another -> sidecars started -> main -> sidecars ended
//
// or a set of containers in the place of main.
type pod struct {
	e       *Executor
	s       *worker.Step
	log     io.Writer
	volumes map[string]*volume

	mu     sync.Mutex // of what follows, and the volumes
	temp   string     // what is the step's alone of the directory of volumes; "" while there is none
	shared bool       // several containers may mount the same
}

// open checks a step, before anything of it is started.
func (e *Executor) open(s *worker.Step) (*pod, error) {
	s, err := patched(s)
	if err != nil {
		return nil, invalid(err)
	}
	t := s.Template
	p := &pod{e: e, s: s, log: &lockedLog{to: s.Log}, shared: len(t.InitContainers)+len(t.Sidecars) > 0 || t.ContainerSet != nil}
	if err := p.check(); err != nil {
		return nil, invalid(err)
	}
	p.findVolumes()
	return p, nil
}

func (p *pod) check() error {
	t := p.s.Template
	if t.Container == nil && t.Script == nil && t.ContainerSet == nil {
		return fmt.Errorf("the process executor does not run %s templates", t.GetType())
	}
	if t.IsDaemon() && t.ContainerSet != nil {
		return errors.New("the process executor has no daemons of several containers")
	}
	return nil
}

// close removes what was the step's alone.
func (p *pod) close() error {
	if p.temp == "" {
		return nil
	}
	return os.RemoveAll(p.temp)
}

// run runs the containers to their end.
func (p *pod) run(ctx context.Context) (workflow.Result, error) {
	for i := range p.s.Template.InitContainers {
		c := &p.s.Template.InitContainers[i]
		r, err := p.initialise(ctx, c)
		if err != nil || r.Phase != spec.NodeSucceeded {
			return r, err
		}
	}
	beside, err := p.startSidecars(ctx)
	if err != nil {
		return workflow.Result{}, err
	}
	var r workflow.Result
	if set := p.s.Template.ContainerSet; set != nil {
		r, err = p.runSet(ctx, set)
	} else {
		r, err = p.runMain(ctx)
	}
	failed := beside.end()
	if failed != nil && err == nil && r.Phase == spec.NodeSucceeded {
		r.Phase, r.Message = spec.NodeFailed, failed.Message
	}
	return r, err
}

// runMain runs the template's one container, with its files staged and kept.
func (p *pod) runMain(ctx context.Context) (workflow.Result, error) {
	s := p.s
	c := worker.Container(s.Template)
	argv, args := worker.Command(s.Template)
	box, err := p.container(ctx, c, argv, args, c.VolumeMounts)
	if err != nil {
		return workflow.Result{}, err
	}
	defer box.Close()
	if s.Before != nil {
		if err := stage(ctx, box.Sandbox, s.Before); err != nil {
			return workflow.Result{}, err
		}
	}
	box.cmd.Last = s.After == nil
	told, err := p.watchProgress(ctx, box)
	if err != nil {
		return workflow.Result{}, err
	}
	if s.Ready != nil {
		if box.cmd.Attend, err = p.attend(c); err != nil {
			return workflow.Result{}, err
		}
	}
	r, err := p.command(ctx, box, worker.MainContainer, s.CaptureResult)
	r.Progress = told()
	if err != nil {
		return r, err
	}
	if s.After != nil {
		if err := keep(ctx, box.Sandbox, s.After, &r); err != nil && r.Phase == spec.NodeSucceeded {
			return r, err
		}
	}
	return r, nil
}

// boxed is a container that can be run.
type boxed struct {
	*sandbox.Sandbox
	cmd *sandbox.Command
}

// container gives a container its sandbox.
func (p *pod) container(ctx context.Context, c *corev1.Container, argv, args []string, mounts []corev1.VolumeMount) (*boxed, error) {
	if len(c.VolumeDevices) > 0 {
		return nil, worker.Faultf(worker.ClassInvalid, "the process executor has no volume devices")
	}
	cmd, err := p.e.command(ctx, p.s, c, argv, args)
	if err != nil {
		return nil, invalid(err)
	}
	private, mounted, err := p.mounts(ctx, mounts)
	if err != nil {
		return nil, invalid(err)
	}
	box, err := p.e.pool.Get(ctx)
	if err != nil {
		return nil, fault(ctx, err)
	}
	box.Private, box.Mounts = private, mounted
	cmd.Grace = p.e.grace
	return &boxed{box, cmd}, nil
}

// invalid is a Fault for what cannot be run, unless it is one already.
func invalid(err error) error {
	if _, ok := errors.AsType[*worker.Fault](err); ok {
		return err
	}
	return &worker.Fault{Class: worker.ClassInvalid, Err: err}
}

// command runs a container's command once.
func (p *pod) command(ctx context.Context, box *boxed, name string, capture bool) (workflow.Result, error) {
	cmd := *box.cmd
	var captured *head
	if cmd.Stdout, cmd.Stderr = p.log, p.log; capture {
		captured = &head{}
		cmd.Stdout = io.MultiWriter(captured, p.log)
	}
	started := time.Now()
	exit, err := box.Run(ctx, cmd)
	finished := time.Now()
	r, err := p.e.outcome(ctx, p.s, name, exit, err)
	r.Started, r.Finished = workflow.At(started), workflow.At(finished)
	if err == nil && captured != nil {
		result := captured.result()
		r.Outputs.Result = &result
	}
	return r, err
}

// initialise runs an init container.
func (p *pod) initialise(ctx context.Context, c *spec.UserContainer) (workflow.Result, error) {
	box, err := p.container(ctx, &c.Container, c.Command, c.Args, p.mirrored(c))
	if err != nil {
		return workflow.Result{}, err
	}
	defer box.Close()
	box.cmd.Last = true
	r, err := p.command(ctx, box, c.Name, false)
	if err == nil && r.Phase == spec.NodeFailed { // a pod that was not initialised did not run
		r.Phase, r.Outputs = spec.NodeError, nil
	}
	return r, err
}

// mirrored are the mounts of an init container or sidecar: its own, and main's if it asks.
func (p *pod) mirrored(c *spec.UserContainer) []corev1.VolumeMount {
	mounts := c.VolumeMounts
	if !isTrue(c.MirrorVolumeMounts) {
		return mounts
	}
	t := p.s.Template
	var mains []corev1.VolumeMount
	if c := worker.Container(t); c != nil {
		mains = c.VolumeMounts
	} else {
		mains = t.ContainerSet.VolumeMounts
	}
	out := slices.Clone(mounts)
	for _, m := range mains {
		if !slices.ContainsFunc(mounts, func(own corev1.VolumeMount) bool { return own.MountPath == m.MountPath }) {
			out = append(out, m)
		}
	}
	return out
}

// sidecars are what runs beside main.
type sidecars struct {
	cancel  context.CancelFunc
	results []chan *workflow.Result // of each; nil for one that was ended
}

// startSidecars starts what runs beside main.
func (p *pod) startSidecars(ctx context.Context) (*sidecars, error) {
	beside, cancel := context.WithCancel(ctx)
	all := &sidecars{cancel: cancel}
	for i := range p.s.Template.Sidecars {
		c := &p.s.Template.Sidecars[i]
		box, err := p.container(beside, &c.Container, c.Command, c.Args, p.mirrored(c))
		if err != nil {
			all.end()
			return nil, err
		}
		result := make(chan *workflow.Result, 1)
		all.results = append(all.results, result)
		go func() {
			defer box.Close()
			box.cmd.Last = true
			r, err := p.command(beside, box, c.Name, false)
			if err != nil { // ended with the step, or lost: main's end is what counts
				result <- nil
				return
			}
			result <- &r
		}()
	}
	return all, nil
}

// end ends the sidecars and returns the failure of the first that failed by itself.
func (s *sidecars) end() (failed *workflow.Result) {
	s.cancel()
	for _, result := range s.results {
		if r := <-result; r != nil && r.Phase == spec.NodeFailed && failed == nil && !killed(r) {
			failed = r
		}
	}
	return failed
}

// killed says that a sidecar ended by what ends sidecars.
func killed(r *workflow.Result) bool {
	code := r.Outputs.ExitCode
	return code != nil && (*code == 137 || *code == 143)
}
