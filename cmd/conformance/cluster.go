package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"sigs.k8s.io/yaml"

	"argosy/workflow/spec"
)

// furnish puts into the cluster what pods refer to: the namespace, and config maps and secrets,
// which the server's own do not stand for there. The fleet does it, by a workflow.
func (f *fleet) furnish(ctx context.Context, objects []spec.Document) error {
	documents := [][]byte{[]byte(fmt.Sprintf(`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":%q}}`, f.namespace))}
	for i := range objects {
		if d := &objects[i]; d.Kind == spec.KindConfigMap || d.Kind == spec.KindSecret {
			documents = append(documents, d.JSON)
		}
	}
	var steps []any
	for i, document := range documents {
		steps = append(steps, []any{map[string]any{"name": fmt.Sprintf("object-%d", i), "inline": map[string]any{
			// Its text may have tags that are not for this workflow.
			"resource": map[string]any{"action": "apply", "manifest": `{{=fromBase64("` + base64.StdEncoding.EncodeToString(document) + `")}}`},
		}}})
	}
	text, err := json.Marshal(map[string]any{
		"apiVersion": spec.APIVersion, "kind": spec.KindWorkflow, "metadata": map[string]any{"generateName": "furnish-"},
		"spec": map[string]any{"entrypoint": "main", "templates": []any{map[string]any{"name": "main", "steps": steps}}},
	})
	if err != nil {
		return err
	}
	wf := &spec.Workflow{}
	if err := yaml.Unmarshal(text, wf); err != nil {
		return err
	}
	if wf, err = f.Submit(ctx, f.namespace, wf, false); err != nil {
		return fmt.Errorf("putting objects into the cluster: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		wf, err := f.Get(ctx, f.namespace, wf.Name, "")
		switch {
		case err != nil:
			return fmt.Errorf("putting objects into the cluster: %w", err)
		case wf.Status.Phase == spec.WorkflowSucceeded:
			return nil
		case wf.Status.Phase.Completed():
			return fmt.Errorf("putting objects into the cluster: %s", difference(wf))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("putting objects into the cluster: %w", ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}
