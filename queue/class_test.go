package queue

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestADeliveryKeepsItsClassInTheRun(t *testing.T) {
	t.Parallel()
	for _, class := range Classes() {
		d := Delivery{Run: "1", Key: "/[0].a.b|c", Number: 7, Pool: "gpu", Class: class}
		back, err := parseOut("1", d.out())
		require.NoError(t, err)
		require.Equal(t, d, back)
		f, err := parseFlight("1", string(d.Key), "held|7|123|"+d.queue()+"|worker|1")
		require.NoError(t, err)
		require.Equal(t, d, f.Delivery)
		require.Equal(t, class, Lost{Delivery: d}.Again().Class)
	}
	require.Equal(t, []string{"gpu.high", "gpu", "gpu.bulk"}, queuesOf("gpu"))
}

func TestANameThatIsNoPoolIsRefused(t *testing.T) {
	t.Parallel()
	for name, ok := range map[string]bool{
		"default": true, "GPU_a-100": true, "x": true, strings.Repeat("x", 63): true,
		"": false, "a.high": false, "a b": false, "a|b": false, "{a}": false, "-a": false, strings.Repeat("x", 64): false,
	} {
		if ok {
			require.NoError(t, CheckPool(name))
		} else {
			require.ErrorContains(t, CheckPool(name), "cannot be a pool")
		}
	}
}
