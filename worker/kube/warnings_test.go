package kube

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// slowEvents is a cluster with a warning about each of n pods, which takes a second to list them.
func slowEvents(n int, fails *atomic.Bool) (w *warnings, lists *atomic.Int32) {
	client := fake.NewClientset()
	lists = &atomic.Int32{}
	client.PrependReactor("list", "events", func(clienttesting.Action) (bool, runtime.Object, error) {
		lists.Add(1)
		time.Sleep(time.Second)
		if fails.Load() {
			return true, nil, errors.New("forbidden")
		}
		list := &corev1.EventList{}
		for i := range n {
			for _, age := range []int64{1, 2} { // the younger one comes first
				e := warning("FailedMount", fmt.Sprintf("pod %d, %d s ago", i, age))
				e.InvolvedObject.UID = types.UID(fmt.Sprint(i))
				e.LastTimestamp = metav1.Unix(1000-age, 0)
				list.Items = append(list.Items, e)
			}
		}
		return true, list, nil
	})
	return newWarnings(client), lists
}

func TestStepsThatWaitShareListsOfEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var fails atomic.Bool
		w, lists := slowEvents(100, &fails)
		askAll := func(asOf func() time.Time) {
			var all sync.WaitGroup
			for i := range 100 {
				all.Go(func() {
					events, err := w.about(t.Context(), "jobs", types.UID(fmt.Sprint(i)), asOf())
					assert.NoError(t, err)
					if assert.Len(t, events, 2) {
						assert.Equal(t, fmt.Sprintf("pod %d, 1 s ago", i), events[1].Message, "the last one comes last")
					}
				})
			}
			all.Wait()
		}
		askAll(time.Now)
		require.EqualValues(t, 1, lists.Load())
		askAll(func() time.Time { return time.Now().Add(-consultAfter) })
		require.EqualValues(t, 1, lists.Load(), "that list was young enough")
		askAll(time.Now)
		require.EqualValues(t, 2, lists.Load(), "that one was not")

		events, err := w.about(t.Context(), "others", "0", time.Now())
		require.NoError(t, err)
		require.Len(t, events, 2)
		require.EqualValues(t, 3, lists.Load(), "each namespace has a list of its own")
	})
}

func TestAListOfEventsThatFailsIsNotTriedByAllWhoWaitForIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var fails atomic.Bool
		fails.Store(true)
		w, lists := slowEvents(1, &fails)
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				_, err := w.about(t.Context(), "jobs", "0", time.Now())
				assert.EqualError(t, err, "listing events: forbidden")
			})
		}
		all.Wait()
		require.EqualValues(t, 1, lists.Load())
		fails.Store(false)
		events, err := w.about(t.Context(), "jobs", "0", time.Now())
		require.NoError(t, err)
		require.Len(t, events, 2)
	})
}
