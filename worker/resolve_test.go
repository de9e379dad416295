package worker

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/util/intstr"

	"argosy/workflow"
	"argosy/workflow/spec"
)

type fakeFinder struct {
	nodes map[workflow.Key]*workflow.Node
	chunk *Chunk
}

func (f fakeFinder) Find(_ context.Context, run string, key workflow.Key) (*Claimed, *Chunk, error) {
	c := &Claimed{Run: &workflow.Run{ID: run, Name: "wf"}, Digest: "digest", Node: f.nodes[key]}
	if c.Node == nil {
		return c, f.chunk, nil
	}
	return c, nil, nil
}

func TestResolverFindsStepsThatStillCount(t *testing.T) {
	t.Parallel()
	live, done := workflow.Root.Step(0, "live"), workflow.Root.Step(0, "done")
	finder := fakeFinder{nodes: map[workflow.Key]*workflow.Node{
		live: {Key: live, Type: spec.NodeTypePod, Phase: spec.NodePending, Template: "main"},
		done: {Key: done, Type: spec.NodeTypePod, Phase: spec.NodeSucceeded, Template: "main"},
	}}
	resolve := Resolver(finder, newFakeSpecs(), nil, func(_ context.Context, s *Step) error {
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

func TestResolverOpensTheItemsOfChunksUnderWay(t *testing.T) {
	t.Parallel()
	item := func(i int) workflow.Key { return workflow.Root.Step(0, "a").Child(fmt.Sprintf("(%d:%d)", i, i)) }
	limit := intstr.FromInt32(2)
	for name, retries := range map[string]*spec.RetryStrategy{"alone": nil, "with attempts": {Limit: &limit}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			specs := newFakeSpecs()
			chunk := specs.loop()
			specs.wf.Spec.Templates[0].RetryStrategy = retries
			// Item 0 has ended, 3 and 4 were returned, and nothing after 6 was launched.
			chunk.Loop.Loop.Next = 7
			chunk.Loop.Loop.Chunks = &workflow.ChunksState{Back: [][2]int{{3, 5}}}
			chunk.Recorded = workflow.Packed{Records: append([]byte{1}, make([]byte, workflow.ItemSize-1)...)}
			resolve := Resolver(fakeFinder{chunk: chunk}, specs, nil, func(context.Context, *Step) error { return nil })
			find := func(k workflow.Key) error {
				s, err := resolve(t.Context(), Grant{Run: "run-1", Key: k, Delivery: 1})
				if err == nil {
					require.Equal(t, k, s.Key)
					require.Equal(t, []string{"true"}, s.Template.Container.Command)
				}
				return err
			}
			// What is a leaf is the item itself, or its attempts.
			leaves, others := []workflow.Key{item(1), item(6)}, []workflow.Key{item(1).Attempt(0)}
			if retries != nil {
				leaves, others = []workflow.Key{item(1).Attempt(0), item(6).Attempt(2)}, []workflow.Key{item(1), item(1).Attempt(3)}
			}
			for _, k := range leaves {
				require.NoError(t, find(k), k)
			}
			for _, i := range []int{0, 3, 4, 7, 10} {
				others = append(others, item(i), item(i).Attempt(0))
			}
			others = append(others, workflow.Root.Step(0, "a").Child("(1:other)"), workflow.Root.Step(0, "a").Child("(-1:x)"), workflow.Root.Step(0, "b"))
			for _, k := range others {
				require.ErrorIs(t, find(k), ErrSuperseded, "%q", k)
			}
			chunk.Loop.Phase = spec.NodeFailed
			require.ErrorIs(t, find(leaves[0]), ErrSuperseded)
		})
	}
}
