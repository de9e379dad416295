package tree

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"argosy/workflow"
	"argosy/workflow/spec"
)

var update = flag.Bool("update", false, "write the golden files")

var t0 = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

// world builds states of runs as the server shows them.
type world struct{ wf *spec.Workflow }

func newWorld(phase spec.WorkflowPhase, progress string) *world {
	w := &world{wf: &spec.Workflow{}}
	w.wf.Name, w.wf.Namespace = "wf", "default"
	w.wf.Status = spec.WorkflowStatus{
		Phase: phase, Progress: spec.Progress(progress), StartedAt: metav1.Time{Time: t0}, Nodes: spec.Nodes{},
	}
	if phase.Completed() {
		w.wf.Status.FinishedAt = metav1.Time{Time: t0.Add(95 * time.Second)}
	}
	return w
}

// add adds a node that started at a second and, if its phase is final, took some.
func (w *world) add(key workflow.Key, typ spec.NodeType, phase spec.NodePhase, at, took int, message ...string) *world {
	n := spec.NodeStatus{
		ID: key.ID("wf"), Name: key.Name("wf"), DisplayName: key.DisplayName("wf"), Type: typ, Phase: phase,
		TemplateName: "tmpl", Message: strings.Join(message, ""), StartedAt: metav1.Time{Time: t0.Add(time.Duration(at) * time.Second)},
		HostNodeName: "node-1",
	}
	if phase.Fulfilled() {
		n.FinishedAt = metav1.Time{Time: n.StartedAt.Add(time.Duration(took) * time.Second)}
	}
	w.wf.Status.Nodes[n.ID] = n
	return w
}

func (w *world) group(parent workflow.Key, g int, phase spec.NodePhase) *world {
	name := fmt.Sprintf("%s[%d]", parent.Name("wf"), g)
	id := workflow.NodeID("wf", name)
	w.wf.Status.Nodes[id] = spec.NodeStatus{ID: id, Name: name, DisplayName: fmt.Sprintf("[%d]", g), Type: spec.NodeTypeStepGroup, Phase: phase}
	return w
}

const root = workflow.Root

func steps() *spec.Workflow {
	w := newWorld(spec.WorkflowRunning, "4/7").
		add(root, spec.NodeTypeSteps, spec.NodeRunning, 0, 0).
		group(root, 0, spec.NodeSucceeded).group(root, 1, spec.NodeSucceeded).group(root, 2, spec.NodeRunning).
		add(root.Step(0, "generate"), spec.NodeTypePod, spec.NodeSucceeded, 0, 3).
		add(root.Step(1, "left"), spec.NodeTypePod, spec.NodeSucceeded, 3, 5).
		add(root.Step(1, "right"), spec.NodeTypeSteps, spec.NodeSucceeded, 3, 61).
		group(root.Step(1, "right"), 0, spec.NodeSucceeded).
		add(root.Step(1, "right").Step(0, "inner"), spec.NodeTypePod, spec.NodeSucceeded, 3, 61).
		add(root.Step(1, "never"), spec.NodeTypeSkipped, spec.NodeSkipped, 3, 0, "when 'false' evaluated false")
	for i, item := range []string{"a", "b", "c"} {
		phase := []spec.NodePhase{spec.NodeSucceeded, spec.NodeRunning, spec.NodePending}[i]
		w.add(root.Child(fmt.Sprintf("[2].each(%d:%s)", i, item)), spec.NodeTypePod, phase, 64, 2)
	}
	return w.wf
}

func dag() *spec.Workflow {
	retry := root.Task("flaky")
	w := newWorld(spec.WorkflowFailed, "5/5").
		add(root, spec.NodeTypeDAG, spec.NodeFailed, 0, 95).
		add(root.Task("a"), spec.NodeTypePod, spec.NodeSucceeded, 0, 3).
		add(retry, spec.NodeTypeRetry, spec.NodeFailed, 3, 40, "No more retries left").
		add(retry.Attempt(0), spec.NodeTypePod, spec.NodeFailed, 3, 10, "Error (exit code 3)").
		add(retry.Attempt(1), spec.NodeTypePod, spec.NodeError, 20, 10, "image pull: no such\nimage").
		add(root.Task("once"), spec.NodeTypeRetry, spec.NodeSucceeded, 3, 7).
		add(root.Task("once").Attempt(0), spec.NodeTypePod, spec.NodeSucceeded, 3, 7).
		add(root.Task("z"), spec.NodeTypeSkipped, spec.NodeOmitted, 43, 0, "omitted: depends condition not met")
	w.wf.Status.Message = "child 'wf.flaky' failed"
	v := spec.AnyString("42")
	many := spec.AnyString("one\ntwo\n")
	w.wf.Status.Outputs = &spec.Outputs{Parameters: []spec.Parameter{{Name: "answer", Value: &v}}}
	n := w.wf.Status.Nodes["wf"]
	n.Outputs = &spec.Outputs{Parameters: []spec.Parameter{{Name: "lines", Value: &many}}}
	w.wf.Status.Nodes["wf"] = n
	return w.wf
}

func wide() *spec.Workflow {
	w := newWorld(spec.WorkflowRunning, "57/100").
		add(root, spec.NodeTypeDAG, spec.NodeRunning, 0, 0).
		add(root.Task("map"), spec.NodeTypeTaskGroup, spec.NodeRunning, 0, 0)
	for i := range 100 {
		phase, message := spec.NodeSucceeded, ""
		switch {
		case i == 7:
			phase, message = spec.NodeFailed, "Error (exit code 1)"
		case i > 59:
			phase = spec.NodePending
		case i > 56:
			phase = spec.NodeRunning
		}
		w.add(root.Task("map").Child(fmt.Sprintf("(%d:part-%d)", i, i)), spec.NodeTypePod, phase, 1, 2, message)
	}
	return w.wf
}

// cut is a run of which the server shows some nodes.
func cut() *spec.Workflow {
	each := workflow.Key("/[1].each")
	w := newWorld(spec.WorkflowRunning, "57/1000000").
		add(root, spec.NodeTypeSteps, spec.NodeRunning, 0, 0).
		group(root, 0, spec.NodeSucceeded).group(root, 1, spec.NodeRunning).
		add(root.Step(0, "generate"), spec.NodeTypePod, spec.NodeSucceeded, 0, 3).
		add(each.Child("(0:a(b)"), spec.NodeTypePod, spec.NodeSucceeded, 3, 1).
		add(each.Child("(7:x)"), spec.NodeTypePod, spec.NodeFailed, 3, 1, "Error (exit code 1)").
		add(each.Child("(8:y)"), spec.NodeTypePod, spec.NodePending, 3, 1)
	w.wf.Annotations = map[string]string{workflow.LoopsAnnotation: `[{"name":"wf[1].each","template":"tmpl","phase":"Running",` +
		`"items":1000000,"waiting":999000,"active":943,"succeeded":40,"failed":16,"errors":1}]`}
	return w.wf
}

func TestTreesLookAsDrawn(t *testing.T) {
	t.Parallel()
	now := t0.Add(80 * time.Second)
	for _, tt := range []struct {
		name string
		wf   *spec.Workflow
		o    Options
	}{
		{"steps", steps(), Options{Now: now}},
		{"steps-ascii", steps(), Options{Now: now, ASCII: true}},
		{"steps-columns", steps(), Options{Now: now, Columns: true, Hosts: true}},
		{"steps-colour", steps(), Options{Now: now, Colour: true}},
		{"steps-low", steps(), Options{Now: now, Height: 8, Width: 40}},
		{"steps-lower", steps(), Options{Now: now, Height: 4}},
		{"dag", dag(), Options{Now: now}},
		{"wide", wide(), Options{Now: now}},
		{"wide-low", wide(), Options{Now: now, Wide: 1000, Height: 6}},
		{"cut", cut(), Options{Now: now}},
		{"not-started", newWorld(spec.WorkflowPending, "").wf, Options{Now: now}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			lines := Render(tt.wf, tt.o)
			if tt.o.Height > 0 {
				require.LessOrEqual(t, len(lines), tt.o.Height)
			}
			golden(t, tt.name, lines)
		})
	}
}

func TestClosingTellsHowItWent(t *testing.T) {
	t.Parallel()
	tail := func(pod string) []string { return []string{"last words of " + pod, "\x1b]0;title\x07ends"} }
	golden(t, "closing-failed", Closing(dag(), Options{}, tail))
	wf := newWorld(spec.WorkflowSucceeded, "1/1").add(root, spec.NodeTypePod, spec.NodeSucceeded, 0, 95).wf
	golden(t, "closing-succeeded", Closing(wf, Options{ASCII: true}, nil))
}

func TestALoopThatIsNotShownWholeIsALineAsItGetsFurther(t *testing.T) {
	t.Parallel()
	before, after := cut(), cut()
	require.Equal(t, []string{
		"12:00:00 + generate Succeeded after 3s",
		"12:00:00 * wf[1].each 57/1000000 done, 17 failed",
		"12:00:00 * wf Running 57/1000000",
	}, Changes(nil, before, t0, true))
	w := &world{after}
	w.add(workflow.Key("/[1].each").Child("(9:z)"), spec.NodeTypePod, spec.NodeFailed, 3, 1)
	require.Empty(t, Changes(before, after, t0, true), "nothing that counts")
	after.Annotations[workflow.LoopsAnnotation] = strings.Replace(after.Annotations[workflow.LoopsAnnotation], "999000", "989000", 1)
	require.Equal(t, []string{"12:00:00 * wf[1].each 10057/1000000 done, 17 failed"}, Changes(before, after, t0, true))
	after.Status.Phase = spec.WorkflowFailed
	after.Annotations[workflow.LoopsAnnotation] = strings.Replace(after.Annotations[workflow.LoopsAnnotation], "Running", "Failed", 1)
	require.Contains(t, strings.Join(Render(after, Options{ASCII: true}), "\n"), "each(0..999999) 10057/1000000 done, 17 failed, 989943 never started")
	closing := strings.Join(Closing(after, Options{ASCII: true}, nil), "\n")
	require.Contains(t, closing, "each(7:x) Failed")
	require.Contains(t, closing, "and 15 more")
}

func TestChangesAreALineForEachNode(t *testing.T) {
	t.Parallel()
	after := steps()
	golden(t, "changes-first", Changes(nil, after, t0, false))
	before := clone(t, after)
	require.Empty(t, Changes(before, after, t0, false), "nothing changed")
	id := root.Step(0, "generate").ID("wf")
	n := before.Status.Nodes[id]
	n.Phase = spec.NodeRunning
	before.Status.Nodes[id] = n
	require.Equal(t, []string{"12:00:00 + generate Succeeded after 3s"}, Changes(before, after, t0, true))
}

func TestALiveTreeIsRedrawnInPlaceAndNotTooOften(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		s := &Screen{W: &out, Size: func() (int, int) { return 80, 24 }, Now: time.Now}
		states := make(chan *spec.Workflow)
		done := make(chan struct{})
		go func() { s.Live(context.Background(), states); close(done) }()
		for range 50 {
			states <- steps()
			time.Sleep(10 * time.Millisecond)
		}
		close(states)
		<-done
		text := out.String()
		draws := strings.Count(text, "\x1b[J")
		require.LessOrEqual(t, draws, 7, "500 ms at ten a second")
		require.GreaterOrEqual(t, draws, 4)
		up := fmt.Sprintf("\x1b[%dA", len(Render(steps(), Options{}))+1)
		require.Equal(t, draws-1, strings.Count(text, up), "each drawing but the first covers the one before")
		require.True(t, strings.HasSuffix(text, "\x1b[?25h"), "the cursor comes back")
	})
}

func TestTextOfOthersCannotDriveTheTerminal(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain":                       "plain",
		"a\tb":                        "a\tb",
		"\x1b[31mred\x1b[0m":          "\x1b[31mred\x1b[0m",
		"\x1b[2J\x1b[Hgone":           "[2J[Hgone",
		"\x1b]52;c;aGk=\x07clipboard": "]52;c;aGk=clipboard",
		"50%\rdone":                   "50%done",
		"\u009b31m":                   "31m",
	} {
		require.Equal(t, want, Printable(in))
	}
	evil := newWorld(spec.WorkflowRunning, "").add(root, spec.NodeTypeDAG, spec.NodeRunning, 0, 0).
		add(root.Task("x").Child("(0:\x1b[2J)"), spec.NodeTypePod, spec.NodeRunning, 0, 0).wf
	require.NotContains(t, strings.Join(Render(evil, Options{}), ""), "\x1b")
}

func clone(t *testing.T, wf *spec.Workflow) *spec.Workflow {
	data, err := json.Marshal(wf)
	require.NoError(t, err)
	out, err := spec.DecodeWorkflow(data)
	require.NoError(t, err)
	return out
}

func golden(t *testing.T, name string, lines []string) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	got := strings.Join(lines, "\n") + "\n"
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err, "go test ./cmd/argosy/internal/tree -update writes it")
	require.Equal(t, string(want), got)
}
