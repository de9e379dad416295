package main

import (
	"context"
	"fmt"
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

// toEnd submits a run and takes the time until an answer shows that it has succeeded, looking
// again some time after each answer. It looks at the list, which reads no nodes.
func (f *fleet) toEnd(ctx context.Context, wf *spec.Workflow, again, limit time.Duration) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	start := time.Now()
	if _, err := f.client.Submit(ctx, namespace, wf, false); err != nil {
		return 0, fmt.Errorf("submitting %s: %w", wf.Name, err)
	}
	timer := time.NewTimer(again)
	defer timer.Stop()
	only := client.ListOptions{
		FieldSelector: "metadata.name=" + wf.Name,
		Fields:        "items.metadata.name,items.status.phase,items.status.message",
	}
	for {
		list, err := f.client.List(ctx, namespace, only)
		if err != nil {
			return 0, fmt.Errorf("looking at %s: %w", wf.Name, err)
		}
		if len(list.Items) == 1 && list.Items[0].Status.Phase.Completed() {
			took := time.Since(start)
			if end := list.Items[0].Status; end.Phase != spec.WorkflowSucceeded {
				return 0, fmt.Errorf("run %s ended as %s: %s", wf.Name, end.Phase, end.Message)
			}
			return took, nil
		}
		timer.Reset(again)
		select {
		case <-timer.C:
		case <-ctx.Done():
			return 0, fmt.Errorf("waiting for %s: %w", wf.Name, ctx.Err())
		}
	}
}
