package kube

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
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

// eventOf is a warning about an object, told some seconds after others.
func eventOf(uid, message string, after int64) *corev1.Event {
	e := warning("FailedMount", message)
	e.Name, e.Namespace = fmt.Sprintf("%s.%d", uid, after), "jobs"
	e.InvolvedObject.UID = types.UID(uid)
	e.LastTimestamp = metav1.Unix(1000+after, 0)
	return e
}

// watchWarnings watches the events of a namespace, and counts the lists that it asks for.
func watchWarnings(t *testing.T, refuse error, events ...runtime.Object) (w *warnings, client *fake.Clientset, lists *atomic.Int32) {
	client, lists = fake.NewClientset(events...), &atomic.Int32{}
	client.PrependReactor("list", "events", func(clienttesting.Action) (bool, runtime.Object, error) {
		lists.Add(1)
		return refuse != nil, nil, refuse
	})
	w, err := newWarnings(client, "jobs")
	require.NoError(t, err)
	w.begin(t.Context())
	return w, client, lists
}

func TestEventsAreListedOnceHoweverManyStepsWait(t *testing.T) {
	t.Parallel()
	var there []runtime.Object
	for i := range 100 {
		uid := fmt.Sprint(i)
		there = append(there, eventOf(uid, "last of "+uid, 2), eventOf(uid, "first of "+uid, 1))
	}
	w, client, lists := watchWarnings(t, nil, there...)
	require.Zero(t, lists.Load(), "nobody has asked")
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() {
			events, err := w.about(t.Context(), types.UID(fmt.Sprint(i)))
			if assert.NoError(t, err) && assert.Len(t, events, 2) {
				assert.Equal(t, fmt.Sprintf("last of %d", i), events[1].Message)
			}
		})
	}
	all.Wait()
	_, err := client.CoreV1().Events("jobs").Create(t.Context(), eventOf("5", "news", 3), metav1.CreateOptions{})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		events, err := w.about(t.Context(), "5")
		return err == nil && len(events) == 3 && events[2].Message == "news"
	}, 5*time.Second, time.Millisecond)
	require.EqualValues(t, 1, lists.Load())
}

func TestEventsThatCannotBeHadHoldNobodyUp(t *testing.T) {
	t.Parallel()
	w, _, _ := watchWarnings(t, errors.New("forbidden"))
	for range 3 {
		_, err := w.about(t.Context(), "5")
		require.ErrorContains(t, err, "forbidden")
	}
	stopped, cancel := context.WithCancelCause(t.Context())
	w, err := newWarnings(fake.NewClientset(), "jobs")
	require.NoError(t, err)
	w.begin(stopped)
	cancel(errors.New("the step was stopped"))
	_, err = w.about(stopped, "5")
	require.Error(t, err)
}
