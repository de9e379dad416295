package server

import (
	"errors"
	"slices"

	"argosy/workflow/spec"
)

// Check validates a document and refuses what this engine cannot run yet: all that is wrong
// at once, in an ErrorList. With lint the arguments may still miss values.
func Check(doc *spec.Document, lint bool) ([]spec.Warning, error) {
	warnings, invalid := spec.Validate(doc, spec.Options{Lint: lint})
	more, unsupported := spec.Unsupported(doc)
	warnings = append(warnings, more...)
	var errs spec.ErrorList
	for _, err := range []error{invalid, unsupported} {
		var list spec.ErrorList
		switch {
		case err == nil:
		case errors.As(err, &list):
			errs = append(errs, list...)
		default:
			return warnings, err
		}
	}
	if len(errs) == 0 {
		return warnings, nil
	}
	slices.SortStableFunc(errs, func(a, b *spec.Error) int { return a.Line - b.Line })
	return warnings, errs
}
