package sandbox

import (
	"context"
	"io"
	"log/slog"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

var stepEnv = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// parallel runs f n times by two goroutines, as xargs -P2 does.
func parallel(b *testing.B, n int, f func()) {
	var wg sync.WaitGroup
	var left atomic.Int64
	left.Store(int64(n))
	for range 2 {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				f()
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "steps/s")
}

func BenchmarkStep(b *testing.B) {
	for name, scratch := range map[string]string{"memory": "", "disk": "/var/tmp/argosy-bench"} {
		b.Run(name, func(b *testing.B) {
			p, err := NewPool(b.Context(), Config{Scratch: scratch, Log: quiet()})
			require.NoError(b, err)
			defer p.Close()
			b.ResetTimer()
			parallel(b, b.N, func() {
				s, err := p.Get(context.Background())
				if err != nil {
					b.Error(err)
					return
				}
				defer s.Close()
				x, err := s.Run(context.Background(), Command{Args: []string{"true"}, Env: stepEnv, Stdout: io.Discard, Last: true})
				if err != nil || x.Code != 0 {
					b.Error(x, err)
				}
			})
		})
	}
}

func BenchmarkXargs(b *testing.B) {
	cmd := exec.Command("sh", "-c", "seq $0 | xargs -P2 -n1 true", itoa(b.N))
	require.NoError(b, cmd.Run())
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "steps/s")
}

func itoa(n int) string { return strconv.Itoa(n) }
