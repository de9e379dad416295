package autoscale_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"argosy/autoscale"
)

// deployment stands in for the /scale subresource, which the fake clientset
// does not keep. Like the API server it refuses an update of an old version.
type deployment struct {
	replicas  int32
	version   int
	updates   int
	interfere int // writes by someone else between a read and an update
}

func (d *deployment) serve(client *fake.Clientset) {
	name := schema.GroupResource{Group: "apps", Resource: "deployments"}
	client.PrependReactor("get", "deployments/scale", func(a k8stesting.Action) (bool, runtime.Object, error) {
		if a.(k8stesting.GetAction).GetName() != "worker" {
			return true, nil, apierrors.NewNotFound(name, "other")
		}
		return true, &autoscalingv1.Scale{
			ObjectMeta: metav1.ObjectMeta{Name: "worker", ResourceVersion: strings.Repeat("v", d.version)},
			Spec:       autoscalingv1.ScaleSpec{Replicas: d.replicas},
		}, nil
	})
	client.PrependReactor("update", "deployments/scale", func(a k8stesting.Action) (bool, runtime.Object, error) {
		if d.interfere > 0 {
			d.interfere--
			d.version++
		}
		scale := a.(k8stesting.UpdateAction).GetObject().(*autoscalingv1.Scale)
		if scale.ResourceVersion != strings.Repeat("v", d.version) {
			return true, nil, apierrors.NewConflict(name, "worker", errors.New("modified"))
		}
		d.replicas = scale.Spec.Replicas
		d.version++
		d.updates++
		return true, scale, nil
	})
}

func hpa(kind, name string) *autoscalingv2.HorizontalPodAutoscaler {
	return &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Name: "hpa-" + name, Namespace: "argosy"},
		Spec:       autoscalingv2.HorizontalPodAutoscalerSpec{ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{Kind: kind, Name: name}},
	}
}

func TestKubeScalesThroughTheSubresource(t *testing.T) {
	t.Parallel()
	client := fake.NewClientset(hpa("Deployment", "other"), hpa("StatefulSet", "worker"))
	d := &deployment{replicas: 1, interfere: 2}
	d.serve(client)
	k := autoscale.NewKube(client, "argosy", "worker", slog.New(slog.DiscardHandler))
	n, err := k.Replicas(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.NoError(t, k.Scale(t.Context(), 7), "conflicts are read and tried again")
	require.EqualValues(t, 7, d.replicas)
	require.NoError(t, k.Scale(t.Context(), 7))
	require.Equal(t, 1, d.updates, "what is so already is not written")
	require.NoError(t, k.Scale(t.Context(), 0))
	require.EqualValues(t, 0, d.replicas)
	for _, a := range client.Actions() {
		if a.GetResource().Resource == "deployments" {
			require.Equal(t, "scale", a.GetSubresource(), "no right over the Deployment itself is needed")
		}
	}
}

func TestKubeRefusesWhatAnHPAManages(t *testing.T) {
	t.Parallel()
	client := fake.NewClientset(hpa("Deployment", "worker"))
	d := &deployment{replicas: 1}
	d.serve(client)
	k := autoscale.NewKube(client, "argosy", "worker", slog.New(slog.DiscardHandler))
	require.ErrorIs(t, k.Scale(t.Context(), 7), autoscale.ErrManaged)
	require.EqualValues(t, 1, d.replicas)
}

func TestKubeWithoutTheRightToListHPAsWarnsOnce(t *testing.T) {
	t.Parallel()
	client := fake.NewClientset()
	d := &deployment{}
	d.serve(client)
	listing := apierrors.NewForbidden(schema.GroupResource{Resource: "horizontalpodautoscalers"}, "", errors.New("no"))
	client.PrependReactor("list", "horizontalpodautoscalers", func(k8stesting.Action) (bool, runtime.Object, error) {
		return true, nil, listing
	})
	var log bytes.Buffer
	k := autoscale.NewKube(client, "argosy", "worker", slog.New(slog.NewTextHandler(&log, nil)))
	require.NoError(t, k.Scale(t.Context(), 2))
	require.NoError(t, k.Scale(t.Context(), 3))
	require.EqualValues(t, 3, d.replicas)
	require.Equal(t, 1, strings.Count(log.String(), "level=WARN"))

	listing = apierrors.NewInternalError(errors.New("etcd is slow"))
	require.ErrorContains(t, k.Scale(t.Context(), 4), "etcd is slow", "any other failure is not a no")
	require.EqualValues(t, 3, d.replicas)
}

func TestKubeReportsWhatIsMissing(t *testing.T) {
	t.Parallel()
	client := fake.NewClientset()
	(&deployment{}).serve(client)
	k := autoscale.NewKube(client, "argosy", "absent", slog.New(slog.DiscardHandler))
	_, err := k.Replicas(t.Context())
	require.True(t, apierrors.IsNotFound(err), err)
	require.Error(t, k.Scale(t.Context(), 1))
}
