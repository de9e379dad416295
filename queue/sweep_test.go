package queue_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/queue"
)

func TestSpecsThatNoRunHasAreSweptInTwoSteps(t *testing.T) {
	kept, gone := []byte(`{"entrypoint":"kept"}`), []byte(`{"entrypoint":"gone"}`)
	tests := map[string]struct {
		keep      time.Duration
		meanwhile func(w *world)
		want      int
	}{
		"still unused":          {want: 1},
		"not for long":          {keep: time.Hour},
		"submitted again":       {meanwhile: func(w *world) { w.submitSpec("3", gone) }},
		"submitted and deleted": {meanwhile: func(w *world) { w.submitSpec("3", gone); w.deleteRun("3") }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			each(t, func(w *world) {
				w.submitSpec("1", kept)
				w.submitSpec("2", gone)
				w.deleteRun("2")
				w.sweep(0, 0) // only marks
				if tt.meanwhile != nil {
					tt.meanwhile(w)
				}
				w.sweep(tt.keep, tt.want)
				require.EqualValues(w.t, 1, w.raw.Exists(w.ctx, "spec:{"+queue.Digest(kept)+"}").Val())
				require.EqualValues(w.t, 1-tt.want, w.raw.Exists(w.ctx, "spec:{"+queue.Digest(gone)+"}").Val())
				// And again, whatever has become of it.
				w.submitSpec("4", gone)
				w.sweep(0, 0)
				w.sweep(0, 0)
				require.EqualValues(w.t, 1, w.raw.Exists(w.ctx, "spec:{"+queue.Digest(gone)+"}").Val())
			})
		})
	}
}

func TestSweepSeesTheRunsOfAllNamespaces(t *testing.T) {
	each(t, func(w *world) {
		for i := range 300 {
			run := newRun(fmt.Sprint(i))
			run.Namespace = fmt.Sprint("ns-", i%3)
			require.NoError(w.t, w.runs.Submit(w.ctx, run, fmt.Appendf(nil, `{"entrypoint":"%d"}`, i)))
		}
		w.sweep(0, 0)
		w.sweep(0, 0)
		require.Len(w.t, w.keys("spec:*"), 300)
	})
}

func (w *world) submitSpec(id string, spec []byte) {
	w.t.Helper()
	require.NoError(w.t, w.runs.Submit(w.ctx, newRun(id), spec))
}

func (w *world) deleteRun(id string) {
	w.t.Helper()
	require.NoError(w.t, w.runs.Delete(w.ctx, id))
}

func (w *world) sweep(keep time.Duration, want int) {
	w.t.Helper()
	removed, err := w.runs.SweepSpecs(w.ctx, keep)
	require.NoError(w.t, err)
	require.Equal(w.t, want, removed)
}
