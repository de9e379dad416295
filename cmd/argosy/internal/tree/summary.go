package tree

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"argosy/workflow/spec"
)

// maxFailures and maxValue bound a summary: it is read on a screen.
const (
	maxFailures = 10
	maxValue    = 400
)

// Closing says how a run ended: phase, time, outputs, and what failed. tail gives the last
// lines that a pod logged; it may be nil.
func Closing(wf *spec.Workflow, o Options, tail func(pod string) []string) []string {
	s := &wf.Status
	phase := spec.NodePhase(s.Phase)
	head := fmt.Sprintf("%s %s %s in %s", Paint(phase, Mark(phase, o.ASCII), o.Colour), wf.Name, s.Phase,
		cmp.Or(Duration(s.StartedAt.Time, s.FinishedAt.Time, o.Now), "0s"))
	if s.Progress != "" {
		head += fmt.Sprintf(", %s steps", s.Progress)
	}
	if s.Message != "" {
		head += ": " + OneLine(s.Message)
	}
	lines := []string{head}
	if out := outputs(wf); len(out) > 0 {
		lines = append(append(lines, "outputs:"), out...)
	}
	return append(lines, failures(wf, o, tail)...)
}

// outputs lists what the run exported and what its root node returned.
func outputs(wf *spec.Workflow) []string {
	var lines []string
	seen := map[string]bool{}
	for _, o := range []*spec.Outputs{wf.Status.Outputs, wf.Status.Nodes[wf.Name].Outputs} {
		if o == nil {
			continue
		}
		for _, p := range o.Parameters {
			line := fmt.Sprintf("  %s = %s", p.Name, value(p.GetValue()))
			if !seen[line] {
				seen[line] = true
				lines = append(lines, line)
			}
		}
		if o.Result != nil && *o.Result != "" {
			lines = append(lines, "  result = "+value(*o.Result))
		}
		for _, a := range o.Artifacts {
			if key := location(&a); key != "" && !seen[a.Name+key] {
				seen[a.Name+key] = true
				lines = append(lines, fmt.Sprintf("  %s -> %s", a.Name, key))
			}
		}
	}
	return lines
}

func location(a *spec.Artifact) string {
	key, _ := a.Key()
	switch {
	case a.S3 != nil && a.S3.Bucket != "":
		return "s3://" + a.S3.Bucket + "/" + key
	case a.GCS != nil && a.GCS.Bucket != "":
		return "gs://" + a.GCS.Bucket + "/" + key
	case a.OSS != nil && a.OSS.Bucket != "":
		return "oss://" + a.OSS.Bucket + "/" + key
	case a.Azure != nil && a.Azure.Container != "":
		return strings.TrimRight(a.Azure.Endpoint, "/") + "/" + a.Azure.Container + "/" + key
	case a.HTTP != nil:
		return a.HTTP.URL
	case a.Artifactory != nil:
		return a.Artifactory.URL
	}
	return key
}

// value shows several lines as such, indented.
func value(s string) string {
	s = strings.TrimRight(s, "\n")
	if r := []rune(s); len(r) > maxValue {
		s = string(r[:maxValue]) + fmt.Sprintf("... (%d characters)", len(r))
	}
	rows := strings.Split(s, "\n")
	for i := range rows {
		rows[i] = OneLine(rows[i])
	}
	if len(rows) == 1 {
		return rows[0]
	}
	return "|\n    " + strings.Join(rows, "\n    ")
}

// failures lists the leaves that failed and where to read more. Scopes fail because of
// them, and attempts that were tried again do not count.
func failures(wf *spec.Workflow, o Options, tail func(pod string) []string) []string {
	nodes := wf.Status.Nodes
	retried := map[string]bool{} // attempts that a later one made good
	for _, n := range nodes {
		if n.Type == spec.NodeTypeRetry && !n.Phase.FailedOrError() {
			for _, c := range n.Children {
				retried[c] = true
			}
		}
	}
	var failed []spec.NodeStatus
	above := map[string]bool{} // names of nodes that failed because of one below
	for id, n := range nodes {
		if !n.Phase.FailedOrError() || retried[id] || n.Type == spec.NodeTypeStepGroup {
			continue
		}
		failed = append(failed, n)
		for i, c := range n.Name {
			if c == '.' || c == '(' || c == '[' {
				above[n.Name[:i]] = true
			}
		}
	}
	failed = slices.DeleteFunc(failed, func(n spec.NodeStatus) bool { return above[n.Name] })
	if len(failed) == 0 {
		return nil
	}
	slices.SortFunc(failed, func(a, b spec.NodeStatus) int {
		return cmp.Or(a.FinishedAt.Compare(b.FinishedAt.Time), cmp.Compare(a.Name, b.Name))
	})
	lines := []string{"failed:"}
	more := max(0, len(failed)-maxFailures) + unseen(wf)
	for _, n := range failed[:min(len(failed), maxFailures)] {
		line := fmt.Sprintf("  %s %s %s", Paint(n.Phase, Mark(n.Phase, o.ASCII), o.Colour), OneLine(nameOf(&n)), n.Phase)
		if n.Message != "" {
			line += ": " + OneLine(n.Message)
		}
		lines = append(lines, line)
		if pod := PodName(wf.Name, &n); pod != "" && tail != nil {
			for _, l := range tail(pod) {
				lines = append(lines, "    "+pick(o.ASCII, "| ", "│ ")+OneLine(l))
			}
		}
	}
	if more > 0 {
		lines = append(lines, fmt.Sprintf("  and %d more", more))
	}
	return lines
}

// unseen counts the items that failed and are not among the run's nodes.
func unseen(wf *spec.Workflow) int {
	loops := cutLoops(wf)
	failed := 0
	for _, l := range loops {
		failed += l.Failed + l.Errors
	}
	for _, n := range wf.Status.Nodes {
		attempt := n.NodeFlag != nil && n.NodeFlag.Retried
		if before, _, ok := strings.Cut(n.DisplayName, "("); ok && n.Phase.FailedOrError() && !attempt {
			if loops[strings.TrimSuffix(n.Name, n.DisplayName)+before] != nil {
				failed--
			}
		}
	}
	return failed
}
