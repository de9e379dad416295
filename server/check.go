package server

import (
	"errors"
	"slices"

	"argosy/workflow/spec"
)

// Check validates a document and refuses what this engine cannot run yet: all that is wrong
// at once, in an ErrorList. For lint, what cannot run yet is a warning: the file is right.
func Check(doc *spec.Document, o spec.Options) ([]spec.Warning, error) {
	warnings, err := spec.Validate(doc, o)
	more, unsupported := spec.Unsupported(doc)
	warnings = append(warnings, more...)
	var errs, cannot spec.ErrorList
	if err != nil && !errors.As(err, &errs) {
		return warnings, err
	}
	if unsupported != nil && !errors.As(unsupported, &cannot) {
		return warnings, unsupported
	}
	if wf, ok := doc.Object.(*spec.Workflow); ok && o.Plugins != nil {
		var unknown spec.ErrorList
		if err := spec.UnknownPlugins(doc, wf, o.Plugins); err != nil && !errors.As(err, &unknown) {
			return warnings, err
		}
		cannot = append(cannot, unknown...)
	}
	for _, e := range cannot {
		if o.Lint {
			warnings = append(warnings, spec.Warning(*e))
		} else {
			errs = append(errs, e)
		}
	}
	byLine := func(a, b *spec.Error) int { return a.Line - b.Line }
	slices.SortStableFunc(warnings, func(a, b spec.Warning) int { return byLine((*spec.Error)(&a), (*spec.Error)(&b)) })
	if len(errs) == 0 {
		return warnings, nil
	}
	slices.SortStableFunc(errs, byLine)
	return warnings, errs
}
