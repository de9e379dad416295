package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"argosy/server/client"
	"argosy/workflow/spec"
)

// namespace is where all runs of a load test are.
const namespace = "loadtest"

// parse reads a workflow of a scenario.
func parse(text string) (*spec.Workflow, error) {
	var wf spec.Workflow
	if err := yaml.UnmarshalStrict([]byte(text), &wf); err != nil {
		return nil, fmt.Errorf("reading the scenario's workflow: %w", err)
	}
	return &wf, nil
}

// toEnd submits a run and takes the time until the commit that ended it, successfully and with
// so many steps. Now and then it looks whether that has come.
func (f *fleet) toEnd(ctx context.Context, wf *spec.Workflow, steps int, look, limit time.Duration) (time.Duration, error) {
	seen, err := watchCommits(ctx, f.redis)
	if err != nil {
		return 0, err
	}
	defer seen.times()
	start := time.Now()
	if _, err := f.toAnswer(ctx, wf, steps, look, limit); err != nil {
		return 0, err
	}
	end, err := seen.last()
	return end.Sub(start), err
}

// toAnswer submits a run and takes the time until an answer shows that it has succeeded, with
// so many steps.
func (f *fleet) toAnswer(ctx context.Context, wf *spec.Workflow, steps int, look, limit time.Duration) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	start := time.Now()
	if _, err := f.client.Submit(ctx, namespace, wf, false); err != nil {
		return 0, fmt.Errorf("submitting %s: %w", wf.Name, err)
	}
	err := f.answered(ctx, wf.Name, steps, look)
	return time.Since(start), err
}

// answered waits for the answer that a run has succeeded with so many steps, looking again some
// time after each other answer. It looks at the list, which reads no nodes.
func (f *fleet) answered(ctx context.Context, name string, steps int, look time.Duration) error {
	for {
		end, err := f.look(ctx, name)
		if err != nil {
			return err
		}
		if end.Phase.Completed() {
			if end.Phase != spec.WorkflowSucceeded {
				return fmt.Errorf("run %s ended as %s: %s", name, end.Phase, end.Message)
			}
			if done := fmt.Sprintf("%d/%d", steps, steps); string(end.Progress) != done {
				return fmt.Errorf("run %s ended with a progress of %s, not %s", name, end.Progress, done)
			}
			return nil
		}
		if err := pause(ctx, look); err != nil {
			return fmt.Errorf("waiting for %s: %w", name, err)
		}
	}
}

// look is a run's status without its nodes.
func (f *fleet) look(ctx context.Context, name string) (spec.WorkflowStatus, error) {
	list, err := f.client.List(ctx, namespace, client.ListOptions{
		FieldSelector: "metadata.name=" + name,
		Fields:        "items.metadata.name,items.status.phase,items.status.message,items.status.progress",
	})
	if err != nil {
		return spec.WorkflowStatus{}, fmt.Errorf("looking at %s: %w", name, err)
	}
	if len(list.Items) != 1 {
		return spec.WorkflowStatus{}, fmt.Errorf("looking at %s: there are %d of it", name, len(list.Items))
	}
	return list.Items[0].Status, nil
}

// header is how every workflow here begins; %s is its name.
const header = `
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: %s}
spec:
  entrypoint: main
  templates:
`

// leaf is a template that runs a command, given as a YAML list, with a parameter.
func leaf(command string) string {
	return `
  - name: step
    inputs: {parameters: [{name: i, value: ""}]}
    container: {image: busybox, command: ` + command + `}
`
}

// noopLeaf is for executors that run nothing, or true.
var noopLeaf = leaf(`["true", "{{inputs.parameters.i}}"]`)

// chainText is n steps, one after the other.
func chainText(n int, leaf string) string {
	var groups strings.Builder
	for i := range n {
		fmt.Fprintf(&groups, "    - [{name: s%d, template: step}]\n", i)
	}
	return header + "  - name: main\n    steps:\n" + groups.String() + leaf
}

// loopText is one loop over n items.
func loopText(n int, leaf string) string {
	return header + fmt.Sprintf(`
  - name: main
    steps:
    - - {name: item, template: step, withSequence: {count: "%d"}, arguments: {parameters: [{name: i, value: "{{item}}"}]}}
`, n) + leaf
}

// named is a workflow of that text.
func named(text, name string) (*spec.Workflow, error) { return parse(fmt.Sprintf(text, name)) }
