package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// logArtifact is what the log of a step is called among its outputs.
const logArtifact = MainContainer + "-logs"

// ArchiveLogs keeps the whole log of a step as an artifact, where its template, workflow or
// repository asks for it.
func ArchiveLogs(next Executor, store ArtifactStore) Executor {
	return ExecutorFunc(func(ctx context.Context, s *Step) (workflow.Result, error) {
		if !s.archivesLogs() {
			return next.Execute(ctx, s)
		}
		file, err := os.CreateTemp("", "argosy-log-")
		if err != nil {
			return workflow.Result{}, Faultf(ClassExecutor, "making room for the step's log: %w", err)
		}
		defer os.Remove(file.Name())
		defer file.Close()
		archived := *s
		log := &logFile{to: file}
		archived.Log = io.MultiWriter(s.Log, log)
		r, err := next.Execute(ctx, &archived)
		if unreported(err) {
			return r, err
		}
		kept, keepErr := s.keepLog(ctx, store, log)
		if keepErr != nil {
			if err == nil && r.Phase == spec.NodeSucceeded {
				err = Faultf(classOf(keepErr), "saving the step's log: %w", keepErr)
			}
			return r, err
		}
		outputs := workflow.Values{}
		if r.Outputs != nil {
			outputs = *r.Outputs
		}
		outputs.Artifacts = append(outputs.Artifacts[:len(outputs.Artifacts):len(outputs.Artifacts)], *kept)
		r.Outputs = &outputs
		return r, err
	})
}

// archivesLogs: a repository that wants logs gets them; otherwise the template is asked before
// the workflow.
func (s *Step) archivesLogs() bool {
	t := s.Template
	if t.Container == nil && t.Script == nil && t.ContainerSet == nil {
		return false
	}
	if r := s.Repository; r != nil && r.ArchiveLogs != nil && *r.ArchiveLogs {
		return true
	}
	if l := t.ArchiveLocation; l != nil && l.ArchiveLogs != nil {
		return *l.ArchiveLogs
	}
	return s.Spec != nil && s.Spec.ArchiveLogs != nil && *s.Spec.ArchiveLogs
}

// keepLog saves the log, also of a step that was stopped.
func (s *Step) keepLog(ctx context.Context, store ArtifactStore, log *logFile) (*spec.Artifact, error) {
	if err := log.failed(); err != nil {
		return nil, err
	}
	if errors.Is(context.Cause(ctx), ErrStopped) {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
	}
	a := &spec.Artifact{Name: logArtifact, Archive: &spec.ArchiveStrategy{None: &spec.NoneStrategy{}}}
	name := MainContainer + ".log"
	if s.Delivery > 1 {
		name = MainContainer + ".d" + strconv.Itoa(s.Delivery) + ".log"
	}
	a.ArtifactLocation = s.location(name)
	if err := store.For(s).Save(ctx, a, log.to.Name()); err != nil {
		return nil, fmt.Errorf("saving artifact %s: %w", a.Name, err)
	}
	return a, nil
}

// logFile remembers that it could not be written; the step goes on.
type logFile struct {
	mu  sync.Mutex
	to  *os.File
	err error
}

func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		_, l.err = l.to.Write(p)
	}
	return len(p), nil
}

func (l *logFile) failed() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}
