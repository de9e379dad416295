package process

import (
	"io"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"argosy/workflow/spec"
)

// twoAtATime runs f n times, two at a time as xargs -P2 does.
func twoAtATime(b *testing.B, f func()) {
	var wg sync.WaitGroup
	var left atomic.Int64
	left.Store(int64(b.N))
	for range 2 {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				f()
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "steps/s")
}

// BenchmarkStep is the cost of a step that does nothing.
func BenchmarkStep(b *testing.B) {
	for _, scratch := range []string{"memory", "disk"} {
		b.Run(scratch, func(b *testing.B) {
			cfg := Config{}
			if scratch == "disk" {
				cfg.Scratch = b.TempDir()
			}
			e := newExecutor(b, cfg)
			b.ResetTimer()
			twoAtATime(b, func() {
				s := newStep(&corev1.Container{Command: []string{"true"}})
				s.Log = io.Discard
				if r, err := e.Execute(b.Context(), s); err != nil || r.Phase != spec.NodeSucceeded {
					b.Error(r, err)
				}
			})
		})
	}
}

// BenchmarkStart is the cost of a helper.
func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		e := newExecutor(b, Config{})
		require.NoError(b, e.Close())
	}
}

// BenchmarkXargs is the same number of processes without any isolation.
func BenchmarkXargs(b *testing.B) {
	cmd := exec.Command("xargs", "-P2", "-n1", "true")
	cmd.Stdin = strings.NewReader(strings.Repeat("x\n", b.N))
	out, err := cmd.CombinedOutput()
	require.NoError(b, err, string(out))
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "steps/s")
}
