package main

import (
	"context"
	"io"
	"log/slog"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"argosy/queue"
	"argosy/workflow/spec"
)

// claimsOf is an executor that keeps a claim for each of some runs.
type claimsOf map[string]bool

func (c claimsOf) SweepVolumes(ctx context.Context, phase func(ctx context.Context, run string) (spec.WorkflowPhase, bool, error)) error {
	for run := range c {
		if _, gone, err := phase(ctx, run); err != nil || gone {
			delete(c, run)
		}
	}
	return nil
}

func TestWhatIsKeptForRunsGoesWithTheProcessThatTheyEndWith(t *testing.T) {
	t.Parallel()
	for alone, kept := range map[bool]int{true: 0, false: 2} {
		claims := claimsOf{"failed": true, "interrupted": true}
		s := &sweepers{alone: alone, log: slog.New(slog.DiscardHandler)}
		take, stop := context.WithCancel(t.Context())
		stop()
		require.NoError(t, s.volumes(claims).run(take, t.Context()))
		require.Len(t, claims, kept)
	}
}

func TestWorkflowsGoWithTheOneThatMadeThem(t *testing.T) {
	t.Parallel()
	e, err := queue.StartEmbedded(t.Context(), queue.EmbeddedMemory)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Stop()) })
	var f roleFlags
	f.register(pflag.NewFlagSet("", pflag.ContinueOnError), "")
	f.redis.url = e.URL
	r, err := f.open(t.Context(), &app{out: io.Discard, err: io.Discard, env: func(string) string { return "" }}, "worker")
	require.NoError(t, err)
	t.Cleanup(r.close)
	s, err := (&serverFlags{}).service(r)
	require.NoError(t, err)
	k := keeper{s.Service, queue.NewOwned(r.conn)}
	for id, meta := range map[string]string{
		"p": `"name": "parent"`, "o": `"name": "other"`,
		"c": `"name": "child", "ownerReferences": [{"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "name": "parent", "uid": "p"}]`,
		"d": `"name": "of-other", "ownerReferences": [{"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "name": "other", "uid": "o"}]`,
	} {
		_, err := k.Create(t.Context(), "default", spec.KindWorkflow, id, []byte(`{"metadata": {`+meta+`}, "spec": {"entrypoint": "a", "templates": [{"name": "a", "suspend": {}}]}}`), false)
		require.NoError(t, err)
	}
	there := func() (names []string) {
		for _, name := range []string{"parent", "child", "other", "of-other"} {
			_, err := k.Get(t.Context(), "default", spec.KindWorkflow, name)
			if err == nil {
				names = append(names, name)
			} else {
				require.True(t, apierrors.IsNotFound(err), "%v", err)
			}
		}
		return names
	}
	stands := standing(queue.NewRuns(r.conn))
	require.NoError(t, k.sweep(t.Context(), stands))
	require.Len(t, there(), 4)
	require.NoError(t, k.Delete(t.Context(), "default", spec.KindWorkflow, "parent"))
	for range 2 { // it may not come to be
		require.NoError(t, k.sweep(t.Context(), stands))
		require.Equal(t, []string{"other", "of-other"}, there())
	}
}
