package main

import (
	"context"
	"encoding/json"
	"fmt"

	"argosy/workflow/spec"
)

// parseObjects reads files that hold only what workflows refer to.
func (a *app) parseObjects(files []string) ([]spec.Document, error) {
	p, err := a.parseAll(files, func(*spec.Workflow) error { return nil }, false, nil)
	if err != nil {
		return nil, err
	}
	if len(p.workflows) > 0 {
		return nil, usagef("workflow %s: submit it when the fleet is up", describe(p.workflows[0]))
	}
	return p.objects, nil
}

// keep stores objects, in the namespace where they do not name one. They may refer to each
// other in any order.
func (fl *fleet) keep(ctx context.Context, objects []spec.Document, namespace string) error {
	for len(objects) > 0 {
		var rest []spec.Document
		var first error
		for _, d := range objects {
			var o struct {
				Metadata struct{ Name, Namespace string }
			}
			if err := json.Unmarshal(d.JSON, &o); err != nil {
				return fmt.Errorf("reading an object of %s: %w", d.File, err)
			}
			ns := o.Metadata.Namespace
			if ns == "" {
				ns = namespace
			}
			err := fl.KeepObject(ctx, d.Kind, ns, d.JSON)
			if err == nil {
				continue
			}
			if rest = append(rest, d); first == nil {
				first = fmt.Errorf("%s: storing %s %s: %w", d.File, d.Kind, o.Metadata.Name, err)
			}
		}
		if len(rest) == len(objects) { // none of them was waiting for another
			return usagef("%w", first)
		}
		objects = rest
	}
	return nil
}
