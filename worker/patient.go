package worker

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"argosy/workflow/spec"
)

// StorePatience is how long a step waits for an artifact store that is away. The runner in a
// step's pod has the same.
const StorePatience = 5 * time.Minute

// patient waits for a store that is away.
type patient struct {
	ArtifactStore
	log *slog.Logger
}

// Patient has steps wait for a store that is away, for StorePatience, rather than fail. What
// cannot be repeated here, Put, is left to the caller.
func Patient(store ArtifactStore, log *slog.Logger) ArtifactStore {
	return &patient{ArtifactStore: store, log: log}
}

// For implements ArtifactStore.
func (p *patient) For(s *Step) ArtifactStore { return &patient{p.ArtifactStore.For(s), p.log} }

// Keys implements ArtifactStore.
func (p *patient) Keys(ctx context.Context, a *spec.Artifact) (keys []string, err error) {
	err = p.insist(ctx, "listing", a, func() (err error) {
		keys, err = p.ArtifactStore.Keys(ctx, a)
		return err
	})
	return keys, err
}

// Load implements ArtifactStore.
func (p *patient) Load(ctx context.Context, a *spec.Artifact, path string) error {
	return p.insist(ctx, "loading", a, func() error { return p.ArtifactStore.Load(ctx, a, path) })
}

// Save implements ArtifactStore.
func (p *patient) Save(ctx context.Context, a *spec.Artifact, path string) error {
	return p.insist(ctx, "saving", a, func() error { return p.ArtifactStore.Save(ctx, a, path) })
}

// List implements ArtifactStore.
func (p *patient) List(ctx context.Context, a *spec.Artifact) (objects []string, err error) {
	err = p.insist(ctx, "looking for", a, func() (err error) {
		objects, err = p.ArtifactStore.List(ctx, a)
		return err
	})
	return objects, err
}

// Open implements ArtifactStore.
func (p *patient) Open(ctx context.Context, a *spec.Artifact, object string) (r io.ReadCloser, err error) {
	err = p.insist(ctx, "opening", a, func() (err error) {
		r, err = p.ArtifactStore.Open(ctx, a, object)
		return err
	})
	return r, err
}

// insist tries until the store is no longer away, or patience or ctx ends.
func (p *patient) insist(ctx context.Context, doing string, a *spec.Artifact, try func() error) error {
	began, wait := time.Now(), 250*time.Millisecond
	for n := 1; ; n++ {
		err := try()
		switch {
		case !errors.Is(err, ErrStoreAway), ctx.Err() != nil:
			if err == nil && n > 1 {
				p.log.Info("the artifact store is back", "hop", "store", "artifact", a.Name, "seconds", time.Since(began).Seconds())
			}
			return err
		case time.Since(began)+wait > StorePatience:
			return err
		case n == 1:
			p.log.Warn("the artifact store is away; the step waits for it", "hop", "store", "doing", doing, "artifact", a.Name,
				"at most", StorePatience, "err", err)
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(wait):
		}
		wait = min(2*wait, 5*time.Second)
	}
}
