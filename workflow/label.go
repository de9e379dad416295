package workflow

import (
	"fmt"
	"maps"
	"slices"
)

// Labels of a run that say which stored spec it was made from.
const (
	labelWorkflowTemplate        = "workflows.argoproj.io/workflow-template"
	labelClusterWorkflowTemplate = "workflows.argoproj.io/cluster-workflow-template"
)

// Label adds to a run's labels and annotations what its spec says of them: workflowMetadata,
// and the stored spec that it follows.
func (p *Plan) Label(run *Run) error {
	md, ref := p.Spec.WorkflowMetadata, p.Source.Spec.WorkflowTemplateRef
	if md == nil && ref == nil {
		return nil
	}
	run.Labels, run.Annotations = added(run.Labels), added(run.Annotations)
	if ref != nil {
		label := labelWorkflowTemplate
		if ref.ClusterScope {
			label = labelClusterWorkflowTemplate
		}
		run.Labels[label] = ref.Name
	}
	if md == nil {
		return nil
	}
	maps.Copy(run.Labels, md.Labels)
	maps.Copy(run.Annotations, md.Annotations)
	scope := &nodeScope{plan: p, run: run, node: &Node{Key: Root}}
	for _, name := range slices.Sorted(maps.Keys(md.LabelsFrom)) {
		value, err := evalText(md.LabelsFrom[name].Expression, scope)
		if err == nil && value == nil {
			err = fmt.Errorf("the expression gave nil")
		}
		if err != nil {
			return fmt.Errorf("failed to evaluate label %q expression: %w", name, err)
		}
		run.Labels[name] = *value
	}
	return nil
}

func added(m map[string]string) map[string]string {
	out := make(map[string]string, len(m)+1)
	maps.Copy(out, m)
	return out
}
