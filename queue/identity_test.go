package queue_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/queue/queuetest"
)

func TestARedisHasOneIdentityForAll(t *testing.T) {
	t.Parallel()
	one, other := queuetest.Start(t), queuetest.Start(t)
	first, err := queuetest.Connect(t, one).Identity(t.Context())
	require.NoError(t, err)
	second, err := queuetest.Connect(t, one).Identity(t.Context())
	require.NoError(t, err)
	third, err := queuetest.Connect(t, other).Identity(t.Context())
	require.NoError(t, err)
	require.Equal(t, first, second)
	require.NotEqual(t, first, third)
	require.GreaterOrEqual(t, len(first), 20)
}
