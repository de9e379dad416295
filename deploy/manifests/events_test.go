package manifests_test

import (
	"bytes"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
)

// A coordinator that tells Kubernetes of runs may do that alone, and only where workflows run.
func TestWhoTellsOfRunsMayMakeEventsAndNothingElse(t *testing.T) {
	t.Parallel()
	body, err := os.ReadFile("../kubernetes-events/rbac.yaml")
	require.NoError(t, err)
	objects := decode(t, bytes.NewReader(body))
	roles := only[*rbacv1.Role](objects)
	require.Len(t, roles, 1)
	require.Equal(t, "argosy-runs", roles[0].Namespace)
	require.Equal(t, []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"events"}, Verbs: []string{"create"}},
		{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"list"}},
	}, roles[0].Rules)
	bindings := only[*rbacv1.RoleBinding](objects)
	require.Len(t, bindings, 1)
	require.Equal(t, "argosy-runs", bindings[0].Namespace)
	require.Equal(t, roles[0].Name, bindings[0].RoleRef.Name)
	accounts := only[*corev1.ServiceAccount](objects)
	require.Len(t, accounts, 1)
	require.Equal(t, []rbacv1.Subject{{Kind: "ServiceAccount", Name: accounts[0].Name, Namespace: accounts[0].Namespace}}, bindings[0].Subjects)
}
