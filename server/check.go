package server

import "argosy/workflow/spec"

// Check validates a parsed document and refuses what this engine cannot run yet.
func Check(doc *spec.Document) error {
	return nil
}
