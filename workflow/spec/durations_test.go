package spec_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/workflow/spec"
)

func TestResourcesDurationIsWrittenInSecondsOfBaseAmounts(t *testing.T) {
	t.Parallel()
	require.Empty(t, spec.ResourcesDuration(nil).String())
	one := spec.ResourcesDuration{"memory": 90, "cpu": 4}
	require.Equal(t, "4s*(1 cpu),1m30s*(100Mi memory)", one.String())
	sum := one.Add(spec.ResourcesDuration{"cpu": 1, "ephemeral-storage": 2})
	require.Equal(t, "5s*(1 cpu),2s*(10Gi ephemeral-storage),1m30s*(100Mi memory)", sum.String())
	require.Equal(t, spec.ResourceDuration(4), one["cpu"], "the summands stay as they are")
	require.Equal(t, one, one.Add(nil))
	require.Equal(t, one, spec.ResourcesDuration(nil).Add(one))
}
