package server

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// Latest is the name that stands for the newest run of a namespace.
const Latest = "@latest"

// Config is what a Service needs.
type Config struct {
	Store   Store
	Objects Objects
	Crons   Crons
	Logs    Logs
	// Archive is where runs are that were archived; nil: there is none.
	Archive Archive
	// Artifacts is where those of runs are; nil: nobody knows.
	Artifacts Artifacts
	Log       *slog.Logger
	Metrics   *Metrics
	// MaxQueued is how many runs may be unfinished, more or less: servers count what others
	// accept after a second. 0 is no bound.
	MaxQueued int
	// Defaults are what every workflow has underneath its own; nil is nothing.
	Defaults *spec.Workflow
	// Restriction is what workflows have to be made of.
	Restriction spec.Restriction
	Plugins     spec.Plugins     // that workers have; without Drivers there are none
	Now         func() time.Time // created times and log ranges; nil means the clock
	// Annotations are added to what is submitted in a context, unless it has them; nil: none are.
	Annotations func(ctx context.Context) map[string]string
}

// Service is what the verbs do. Its methods may be called at the same time.
type Service struct {
	store     Store
	objects   Objects
	crons     Crons
	logs      Logs
	archive   Archive
	artifacts Artifacts
	log       *slog.Logger
	metrics   *Metrics
	now       func() time.Time
	room      room

	annotations func(ctx context.Context) map[string]string
	defaults    *spec.Workflow
	restrict    spec.Restriction
	plugins     spec.Plugins
	events      events

	mu         sync.Mutex
	plans      map[string]*workflow.Plan // by digest
	baselines  map[string]map[string]time.Duration
	admissions map[[sha256.Size]byte]*admission // by the digest of their text
}

// Feed sends what happens until ctx ends, send fails, or there is nothing more to come.
type Feed[T any] func(ctx context.Context, send func(T) error) error

// NewService makes a Service.
func NewService(c Config) *Service {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Plugins.Drivers == nil {
		c.Plugins.Drivers = func(string) bool { return false }
	}
	return &Service{
		store: c.Store, objects: c.Objects, crons: c.Crons, logs: c.Logs, archive: c.Archive, artifacts: c.Artifacts, log: c.Log, metrics: c.Metrics, now: c.Now,
		defaults: c.Defaults, restrict: c.Restriction, plugins: c.Plugins, annotations: c.Annotations, events: events{queue: make(chan Event, eventsWaiting)},
		room:  room{store: c.Store, log: c.Log, most: c.MaxQueued},
		plans: map[string]*workflow.Plan{}, baselines: map[string]map[string]time.Duration{}, admissions: map[[sha256.Size]byte]*admission{},
	}
}

// Get returns a run by name, which may be Latest, also from the archive. A uid that is given must be
// the run's.
func (s *Service) Get(ctx context.Context, namespace, name, uid string) (*spec.Workflow, error) {
	r, err := s.anywhere(ctx, namespace, name, uid)
	if err != nil {
		return nil, err
	}
	return s.object(ctx, r)
}

// find resolves a name to a run's id.
func (s *Service) find(ctx context.Context, namespace, name string) (string, error) {
	if name == Latest {
		records, _, err := s.store.Page(ctx, namespace, "", 1, func(*Record) bool { return true })
		if err != nil {
			return "", fmt.Errorf("finding the latest run: %w", err)
		}
		if len(records) == 0 {
			return "", errorf(CodeNotFound, "there are no workflows in namespace %q", namespace)
		}
		return records[0].Run.ID, nil
	}
	id, err := s.store.RunID(ctx, namespace, name)
	if errors.Is(err, ErrNotFound) {
		return "", notFound(name)
	}
	if err != nil {
		return "", fmt.Errorf("finding run %s/%s: %w", namespace, name, err)
	}
	return id, nil
}

func (s *Service) load(ctx context.Context, namespace, name string) (*Record, error) {
	return s.read(ctx, namespace, name, func(ctx context.Context, id string) (*Record, error) {
		return s.store.Load(ctx, id, maxShown)
	})
}

// read finds a run and reads it by one of the store's ways.
func (s *Service) read(ctx context.Context, namespace, name string, by func(context.Context, string) (*Record, error)) (*Record, error) {
	id, err := s.find(ctx, namespace, name)
	if err != nil {
		return nil, err
	}
	r, err := by(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return nil, notFound(name) // deleted since
	}
	if err != nil {
		return nil, fmt.Errorf("loading run %s: %w", id, err)
	}
	return r, nil
}

// Stop lets the run end early: nothing more starts but exit handlers.
func (s *Service) Stop(ctx context.Context, namespace, name, message string) (*spec.Workflow, error) {
	return s.shutdown(ctx, namespace, name, by(ctx, actionStop, workflow.Event{Kind: workflow.EventSignal, Signal: workflow.SignalStop, Message: message}))
}

// Terminate ends the run at once.
func (s *Service) Terminate(ctx context.Context, namespace, name string) (*spec.Workflow, error) {
	return s.shutdown(ctx, namespace, name, by(ctx, actionTerminate, workflow.Event{Kind: workflow.EventSignal, Signal: workflow.SignalTerminate}))
}

func (s *Service) shutdown(ctx context.Context, namespace, name string, e workflow.Event) (*spec.Workflow, error) {
	r, err := s.load(ctx, namespace, name)
	if err != nil {
		return nil, err
	}
	over := errorf(CodePrecondition, "cannot shutdown a completed workflow: workflow: %q, namespace: %q", r.Run.Name, r.Run.Namespace)
	if r.State.Phase.Completed() {
		return nil, over
	}
	switch err := s.store.Signal(ctx, r.Run.ID, e); {
	case errors.Is(err, ErrFinished):
		return nil, over // meanwhile
	case errors.Is(err, ErrNotFound):
		return nil, notFound(name)
	case err != nil:
		return nil, fmt.Errorf("signalling run %s: %w", r.Run.ID, err)
	}
	s.log.Info("shutdown requested", "hop", "submit", "run", r.Run.ID, "namespace", r.Run.Namespace, "name", r.Run.Name, "signal", e.Signal)
	wf, err := s.object(ctx, r)
	if err != nil {
		return nil, err
	}
	wf.Spec.Shutdown = spec.ShutdownStrategy(e.Signal)
	return wf, nil
}

// Delete removes a run and all that is known of it. A run that goes on is terminated: its
// steps end when their workers find that it is gone. One with artifacts that go with it is
// there until they are deleted, unless that is not to be waited for.
func (s *Service) Delete(ctx context.Context, namespace, name string, force bool) error {
	id, err := s.find(ctx, namespace, name)
	if err != nil {
		return err
	}
	remove := s.store.Delete
	if force {
		remove = s.store.Discard
	}
	switch err := remove(ctx, id); {
	case errors.Is(err, ErrNotFound):
		return notFound(name)
	case err != nil:
		return fmt.Errorf("deleting run %s: %w", id, err)
	}
	s.log.Info("deleted", "hop", "submit", "run", id, "namespace", namespace, "name", name)
	return nil
}

// Ready says whether the service can do its work.
func (s *Service) Ready(ctx context.Context) error { return s.store.Ping(ctx) }

func notFound(name string) *Error {
	return errorf(CodeNotFound, "workflows.argoproj.io %q not found", name)
}

func uidOf(r *workflow.Run) types.UID { return types.UID(r.ID) }
