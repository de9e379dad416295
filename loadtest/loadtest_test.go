package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/server"
	"argosy/workflow/spec"
)

func TestQuantilesAreSamplesThatWereSeen(t *testing.T) {
	t.Parallel()
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(100-i) * time.Millisecond
	}
	tests := map[string]struct {
		samples       []time.Duration
		p50, p95, p99 float64
	}{
		"none":        {nil, 0, 0, 0},
		"one":         {[]time.Duration{2 * time.Millisecond}, 2, 2, 2},
		"two":         {[]time.Duration{3 * time.Millisecond, time.Millisecond}, 1, 3, 3},
		"one hundred": {hundred, 50, 95, 99},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := inMillis(test.samples)
			require.Equal(t, len(test.samples), q.Count)
			require.Equal(t, []float64{test.p50, test.p95, test.p99}, []float64{q.P50, q.P95, q.P99})
		})
	}
}

func TestALineSaysWhetherTheTargetIsReached(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		scenario scenario
		m        measurement
		want     string
	}{
		"less is better, reached": {
			scenario{row: "a", unit: "ms", target: 10, lessIsBetter: true},
			measurement{value: 2.5, peers: []peer{{Value: 5}}},
			"a value=2.5ms target=10ms ratio=0.5 ok",
		},
		"less is better, missed": {
			scenario{row: "a", unit: "ms", target: 10, lessIsBetter: true},
			measurement{value: 11, peers: []peer{{Value: 5}}},
			"a value=11ms target=10ms ratio=2.2 short",
		},
		"more is better, the peer sets the target": {
			scenario{row: "b", unit: "/s"},
			measurement{value: 600, target: 500, peers: []peer{{Value: 1000}, {Value: 1}}},
			"b value=600/s target=500/s ratio=0.6 ok",
		},
		"more is better, missed": {
			scenario{row: "b", unit: "/s", target: 1000},
			measurement{value: 600, peers: []peer{{Value: 300}}},
			"b value=600/s target=1000/s ratio=2 short",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, newResult(test.scenario, test.m, machine{}, 1, 1).line())
		})
	}
}

func TestAResultFileTellsHowToTakeItAgain(t *testing.T) {
	t.Parallel()
	m, err := describeMachine(t.Context())
	require.NoError(t, err)
	r := newResult(scenario{row: "hello", n: 10, unit: "ms", target: 1}, measurement{value: 2}, m, 7, 30)
	path, err := r.write(t.TempDir())
	require.NoError(t, err)
	require.Equal(t, "hello-n30-"+r.Date.Format(time.DateOnly)+"-"+m.commit+".json", filepath.Base(path))
	body, err := os.ReadFile(path)
	require.NoError(t, err)
	var back map[string]any
	require.NoError(t, json.Unmarshal(body, &back))
	require.EqualValues(t, 7, back["seed"])
	require.EqualValues(t, 30, back["n"])
	require.NotEmpty(t, back["commit"])
	for _, field := range []string{"cpu", "cores", "memoryGB", "kernel", "go", "redis"} {
		require.NotZero(t, back["machine"].(map[string]any)[field], field)
	}
}

func TestAnUnknownRowIsRefusedBeforeAnythingStarts(t *testing.T) {
	t.Parallel()
	err := run(context.Background(), []string{"-row", "unheard-of"}, io.Discard, io.Discard)
	require.ErrorContains(t, err, "hello")
}

func TestRowsHaveNamesOfTheirOwn(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, s := range scenarios() {
		require.False(t, seen[s.row], s.row)
		seen[s.row] = true
	}
	for _, row := range []string{"L1", "L2", "L3", "L4", "T1", "T1b", "T2", "T3", "T4", "T5", "T6", "S1", "S2", "S3", "R1", "R2"} {
		require.True(t, seen[row], row)
	}
}

func TestWorkflowsOfScenariosAreValid(t *testing.T) {
	t.Parallel()
	texts := map[string]string{
		"sleeps": chainText(2, leaf(`["sleep", "0.01"]`)), "busy": loopText(3, leaf(`["sh", "-c", "i=0"]`)),
	}
	for _, r := range rungs() {
		texts[r.row] = r.text(bench{n: min(r.n, 100), seed: 1})
	}
	for name, text := range texts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			docs, err := spec.Parse(name, []byte(fmt.Sprintf(text, "some-name")))
			require.NoError(t, err)
			require.Len(t, docs, 1)
			_, err = server.Check(&docs[0], spec.Options{})
			require.NoError(t, err)
		})
	}
	docs, err := spec.Parse("one step", oneStepWorkflow("some", 7))
	require.NoError(t, err)
	_, err = server.Check(&docs[0], spec.Options{})
	require.NoError(t, err)
	require.Equal(t, "some-7", docs[0].Object.(*spec.Workflow).Name)
}

func TestARowIsShortWhenAConditionBesideItsValueFails(t *testing.T) {
	t.Parallel()
	m := measurement{value: 1}
	m.require(true, "fine")
	m.require(false, "%d bytes", 7)
	r := newResult(scenario{row: "a", target: 2, lessIsBetter: true}, m, machine{}, 1, 1)
	require.False(t, r.Reached)
	require.Equal(t, []string{"7 bytes"}, r.Missed)
}
