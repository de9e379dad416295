package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/workflow/spec"
)

// awayStore is a store that answers from a time on.
type awayStore struct {
	ArtifactStore
	back  time.Time
	after error // how it answers then
	tries int
}

func (s *awayStore) answer() error {
	if s.tries++; time.Now().Before(s.back) {
		return fmt.Errorf("dialling: %w", ErrStoreAway)
	}
	return s.after
}

func (s *awayStore) Load(context.Context, *spec.Artifact, string) error { return s.answer() }
func (s *awayStore) Save(context.Context, *spec.Artifact, string) error { return s.answer() }
func (s *awayStore) List(context.Context, *spec.Artifact) ([]string, error) {
	return []string{"a"}, s.answer()
}
func (s *awayStore) Open(context.Context, *spec.Artifact, string) (io.ReadCloser, error) {
	return nil, s.answer()
}

func TestStepsWaitForAStoreThatIsAway(t *testing.T) {
	t.Parallel()
	denied := errors.New("access denied")
	for name, tt := range map[string]struct {
		away, stopped time.Duration // how long; and when the step is ended
		after, want   error
		takes         time.Duration // about, and at most a pause more
	}{
		"it answers":                    {},
		"it refuses":                    {after: denied, want: denied},
		"there is no such artifact":     {after: ErrNoArtifact, want: ErrNoArtifact},
		"it comes back after a minute":  {away: time.Minute, takes: time.Minute},
		"it comes back and refuses":     {away: time.Minute, after: denied, want: denied, takes: time.Minute},
		"it never comes back":           {away: time.Hour, want: ErrStoreAway, takes: StorePatience - 5*time.Second},
		"the step is ended meanwhile":   {away: time.Hour, stopped: 90 * time.Second, want: ErrStoreAway, takes: 90 * time.Second},
		"it is away for a moment, only": {away: 100 * time.Millisecond, takes: 100 * time.Millisecond},
	} {
		for doing, do := range map[string]func(context.Context, ArtifactStore) error{
			"load": func(ctx context.Context, s ArtifactStore) error { return s.Load(ctx, &spec.Artifact{}, "") },
			"save": func(ctx context.Context, s ArtifactStore) error { return s.Save(ctx, &spec.Artifact{}, "") },
			"list": func(ctx context.Context, s ArtifactStore) error { _, err := s.List(ctx, &spec.Artifact{}); return err },
			"open": func(ctx context.Context, s ArtifactStore) error {
				_, err := s.Open(ctx, &spec.Artifact{}, "")
				return err
			},
		} {
			t.Run(name+", "+doing, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					store := &awayStore{back: time.Now().Add(tt.away), after: tt.after}
					ctx := t.Context()
					if tt.stopped > 0 {
						stopped, cancel := context.WithTimeout(ctx, tt.stopped)
						defer cancel()
						ctx = stopped
					}
					began := time.Now()
					err := do(ctx, Patient(store, slog.New(slog.DiscardHandler)))
					took := time.Since(began)
					if tt.want == nil {
						require.NoError(t, err)
					} else {
						require.ErrorIs(t, err, tt.want)
					}
					require.GreaterOrEqual(t, took, tt.takes)
					require.LessOrEqual(t, took, tt.takes+5*time.Second)
					require.LessOrEqual(t, store.tries, 70)
				})
			})
		}
	}
}
