package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/worker/handover"
	"argosy/workflow/spec"
)

// runMember runs a container of a set that stages nothing.
func runMember(t *testing.T, place handover.Set, script string) (*handover.Outcome, string) {
	t.Helper()
	data, err := json.Marshal(place)
	require.NoError(t, err)
	var out bytes.Buffer
	message := filepath.Join(t.TempDir(), "message")
	code := step{
		command: []string{"sh", "-c", script}, env: []string{"PATH=" + os.Getenv("PATH"), handover.EnvSet + "=" + string(data)},
		stdout: &out, stderr: &out, message: message, patience: time.Second,
	}.run(context.Background())
	text, err := os.ReadFile(message)
	require.NoError(t, err)
	o, ok := handover.Decode(string(text))
	require.True(t, ok)
	require.Equal(t, code, o.Code)
	return o, out.String()
}

func TestContainersOfASetWaitForEachOther(t *testing.T) {
	t.Parallel()
	dir, order := t.TempDir(), filepath.Join(t.TempDir(), "order")
	after := map[string][]string{"d": {"b", "c"}, "b": {"a"}, "c": {"a"}, "a": nil}
	var all sync.WaitGroup
	for name, deps := range after {
		all.Go(func() {
			o, _ := runMember(t, handover.Set{Name: name, Dir: dir, After: deps}, "echo -n "+name+" >> "+order)
			if o.Code != 0 || o.Fault != nil {
				t.Errorf("%s: %+v", name, o)
			}
		})
	}
	all.Wait()
	text, err := os.ReadFile(order)
	require.NoError(t, err)
	require.Contains(t, []string{"abcd", "acbd"}, string(text))
}

func TestAContainerDoesNotRunAfterOneThatFailed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o, _ := runMember(t, handover.Set{Name: "a", Dir: dir}, "exit 5")
	require.Equal(t, 5, o.Code)
	o, log := runMember(t, handover.Set{Name: "b", Dir: dir, After: []string{"a"}}, "echo never")
	require.Equal(t, &handover.Outcome{Code: 64, Waited: true, Message: `dependency "a" exited with non-zero code: 5`}, o)
	require.Empty(t, log)
	o, _ = runMember(t, handover.Set{Name: "c", Dir: dir, After: []string{"b"}}, "echo never")
	require.Equal(t, `dependency "b" exited with non-zero code: 64`, o.Message)
}

func TestACommandOfASetIsTriedAgainInItsContainer(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		script string
		tries  int
		code   int
		log    string
	}{
		"until it succeeds":            {script: "echo x >> %[1]s; cat %[1]s; [ $(wc -l < %[1]s) = 2 ]", tries: 3, log: "x\nx\nx\n"},
		"as often as it may":           {script: "echo y; exit 3", tries: 3, code: 3, log: "y\ny\ny\n"},
		"once unless it is said":       {script: "echo y; exit 3", code: 3, log: "y\n"},
		"not if it could not be found": {script: "echo y; exit 64", tries: 3, code: 64, log: "y\n"},
		"not if it succeeded at first": {script: "echo y", tries: 3, log: "y\n"},
		"of one that was killed":       {script: "echo y; kill -9 $$", tries: 2, code: 137, log: "y\ny\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			script := tt.script
			if name == "until it succeeds" {
				script = fmt.Sprintf(script, filepath.Join(t.TempDir(), "tries"))
			}
			o, log := runMember(t, handover.Set{Name: "a", Dir: t.TempDir(), Tries: tt.tries, Pause: 1}, script)
			require.Equal(t, tt.code, o.Code)
			require.Equal(t, tt.log, log)
		})
	}
}

func TestOutputsAreCollectedWhenAllOfTheSetHaveEnded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := newPod(t, "sh", "-c", "true")
	file := p.path("late")
	p.step.Template.Outputs.Parameters = parameterAt("late", file)
	place, err := json.Marshal(handover.Set{Name: "main", Dir: dir, Others: []string{"other"}})
	require.NoError(t, err)
	var other sync.WaitGroup
	other.Go(func() {
		runMember(t, handover.Set{Name: "other", Dir: dir, After: []string{"main"}}, "echo late > "+file)
	})
	code, r, err := p.run(t, handover.EnvSet+"="+string(place))
	require.NoError(t, err)
	require.Zero(t, code)
	other.Wait()
	value, _ := r.Outputs.Parameter("late")
	require.Equal(t, "late", value)
}

func parameterAt(name, path string) []spec.Parameter {
	return []spec.Parameter{{Name: name, ValueFrom: &spec.ValueFrom{Path: path}}}
}
