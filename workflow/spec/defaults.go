package spec

import (
	"bytes"
	"fmt"
	"regexp"
)

// kindLine is where a document says what it is.
var kindLine = regexp.MustCompile(`(?m)^("?kind"?):`)

// ParseDefaults reads the metadata and spec that every workflow has underneath its own. The
// file need not say that it is a Workflow.
func ParseDefaults(file string, data []byte) (*Workflow, error) {
	if !kindLine.Match(data) {
		// At the end, so that lines keep their numbers.
		data = append(bytes.TrimRight(data, " \n"), "\napiVersion: "+APIVersion+"\nkind: "+KindWorkflow+"\n"...)
	}
	docs, err := Parse(file, data)
	if err != nil {
		return nil, err
	}
	wf, ok := docs[0].Object.(*Workflow)
	if !ok || len(docs) != 1 {
		return nil, ErrorList{docs[0].Errorf("kind", "expected the defaults of workflows: metadata and spec of one %s", KindWorkflow)}
	}
	return wf, nil
}

// UnderDefaults gives a workflow what the defaults have and it lacks. What a workflow takes
// from a stored spec goes before the defaults: that is left to the Find that is returned, by
// which the stored spec is to be found.
func (w *Workflow) UnderDefaults(d *Workflow, find Find) (Find, error) {
	if d == nil {
		return find, nil
	}
	w.Labels, w.Annotations = under(d.Labels, w.Labels), under(d.Annotations, w.Annotations)
	ref := w.Spec.WorkflowTemplateRef
	if ref == nil {
		merged, err := w.Spec.overDefaults(&d.Spec)
		if err != nil {
			return nil, fmt.Errorf("defaults of workflows: %w", err)
		}
		w.Spec = *merged
		return find, nil
	}
	var joined *WorkflowSpec
	if stored := find(ref.Name, ref.ClusterScope); stored != nil {
		var err error
		if joined, err = stored.overDefaults(&d.Spec); err != nil {
			return nil, fmt.Errorf("defaults of workflows: %w", err)
		}
	}
	return func(name string, clusterScope bool) *WorkflowSpec {
		if joined != nil && name == ref.Name && clusterScope == ref.ClusterScope {
			return joined
		}
		return find(name, clusterScope)
	}, nil
}

func (s *WorkflowSpec) overDefaults(d *WorkflowSpec) (*WorkflowSpec, error) {
	merged, err := s.Over(d)
	if err != nil {
		return nil, err
	}
	if merged.WorkflowTemplateRef = s.WorkflowTemplateRef; merged.Suspend == nil {
		merged.Suspend = d.Suspend
	}
	return merged, nil
}

func under(base, own map[string]string) map[string]string {
	if len(base) == 0 {
		return own
	}
	out := make(map[string]string, len(base)+len(own))
	for _, set := range []map[string]string{base, own} {
		for k, v := range set {
			out[k] = v
		}
	}
	return out
}
