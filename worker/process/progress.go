package process

import (
	"context"
	"strings"
	"time"

	"argosy/worker"
	"argosy/worker/handover"
	"argosy/workflow/spec"
)

// lookProgress is how often a step's progress is looked at.
const lookProgress = 3 * time.Second

// watchProgress tells what the main container says of its progress, until end is called, which
// returns what it said last. A step is watched that names the file for it, or whose files are
// looked at anyway.
func (p *pod) watchProgress(ctx context.Context, box *boxed) (end func() spec.Progress, err error) {
	s := p.s
	if s.Tells == nil || s.Before == nil && !s.Template.TellsProgress() {
		return func() spec.Progress { return "" }, nil
	}
	path := ""
	for _, v := range box.cmd.Env {
		if value, ok := strings.CutPrefix(v, spec.EnvProgressFile+"="); ok {
			path = value
		}
	}
	view, err := box.View()
	if err != nil {
		return nil, fault(ctx, err)
	}
	look := func() spec.Progress {
		data, err := view.ReadEnd(path, handover.MaxProgress)
		if err != nil {
			return "" // most steps never write it
		}
		return spec.LastProgress(string(data))
	}
	watching, cancel := context.WithCancel(ctx)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		p.tellProgress(watching, s, look)
	}()
	return func() spec.Progress {
		cancel()
		<-stopped
		return look()
	}, nil
}

// tellProgress tells the run each new progress, until ctx ends.
func (p *pod) tellProgress(ctx context.Context, s *worker.Step, look func() spec.Progress) {
	ticker := time.NewTicker(p.e.look)
	defer ticker.Stop()
	var told spec.Progress
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		progress := look()
		if progress == "" || progress == told {
			continue
		}
		if err := s.Tells(ctx, progress); err != nil {
			p.e.log.DebugContext(ctx, "a step's progress is not told", "hop", "report", "run", s.Run.ID, "node", string(s.Key), "err", err)
			continue
		}
		told = progress
	}
}
