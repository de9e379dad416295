package kube

import (
	"context"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes/fake"

	"argosy/workflow"
	"argosy/workflow/spec"
)

func TestAPodDisruptionBudgetIsThereWhileItsRunGoesOn(t *testing.T) {
	t.Parallel()
	client := fake.NewClientset()
	e := &Executor{cfg: Config{Owner: "us"}.withDefaults(), client: client, log: slog.New(slog.DiscardHandler)}
	s := unitStep(&spec.Template{})
	require.NoError(t, e.provideBudget(t.Context(), s))
	budgets := client.PolicyV1().PodDisruptionBudgets(s.Run.Namespace)
	_, err := budgets.Get(t.Context(), s.Run.Name, metav1.GetOptions{})
	require.Error(t, err, "it asks for none")

	most := intstr.FromInt32(1)
	s.Spec = &spec.WorkflowSpec{PodDisruptionBudget: &policyv1.PodDisruptionBudgetSpec{MaxUnavailable: &most}}
	for range 2 { // of two steps
		require.NoError(t, e.provideBudget(t.Context(), s))
	}
	b, err := budgets.Get(t.Context(), s.Run.Name, metav1.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, map[string]string{labelRun: s.Run.ID}, b.Spec.Selector.MatchLabels)
	require.Equal(t, &most, b.Spec.MaxUnavailable)

	standing := Standing{}
	sweep := func() {
		require.NoError(t, e.SweepBudgets(t.Context(), func(_ context.Context, run string, _ []workflow.Key) (Standing, error) {
			require.Equal(t, s.Run.ID, run)
			return standing, nil
		}))
	}
	sweep()
	_, err = budgets.Get(t.Context(), s.Run.Name, metav1.GetOptions{})
	require.NoError(t, err)
	standing.Phase = spec.WorkflowFailed
	sweep()
	_, err = budgets.Get(t.Context(), s.Run.Name, metav1.GetOptions{})
	require.Error(t, err)
	require.NoError(t, e.provideBudget(t.Context(), s), "the run was taken up again")
	_, err = budgets.Get(t.Context(), s.Run.Name, metav1.GetOptions{})
	require.NoError(t, err)
}
