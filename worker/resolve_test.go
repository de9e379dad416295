package worker

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/workflow"
	"argosy/workflow/spec"
)

type fakeFinder map[workflow.Key]*workflow.Node

func (f fakeFinder) Find(_ context.Context, run string, key workflow.Key) (*Claimed, error) {
	n := f[key]
	if n == nil {
		return nil, ErrSuperseded
	}
	return &Claimed{Run: &workflow.Run{ID: run, Name: "wf"}, Digest: "digest", Node: n}, nil
}

func TestResolverFindsStepsThatStillCount(t *testing.T) {
	t.Parallel()
	live, done := workflow.Root.Step(0, "live"), workflow.Root.Step(0, "done")
	finder := fakeFinder{
		live: {Key: live, Type: spec.NodeTypePod, Phase: spec.NodePending, Template: "main"},
		done: {Key: done, Type: spec.NodeTypePod, Phase: spec.NodeSucceeded, Template: "main"},
	}
	resolve := Resolver(finder, newFakeSpecs(), func(_ context.Context, s *Step) error {
		if s.Delivery != 2 {
			return ErrSuperseded
		}
		return nil
	})
	s, err := resolve(t.Context(), Grant{Run: "run-1", Key: live, Delivery: 2})
	require.NoError(t, err)
	require.Equal(t, live, s.Key)
	require.Equal(t, "main", s.Template.Name)
	for _, g := range []Grant{
		{Run: "run-1", Key: live, Delivery: 1},
		{Run: "run-1", Key: done, Delivery: 2},
		{Run: "run-1", Key: workflow.Root, Delivery: 2},
	} {
		_, err := resolve(t.Context(), g)
		require.ErrorIs(t, err, ErrSuperseded, "%+v", g)
	}
}
