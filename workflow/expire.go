package workflow

import "argosy/workflow/spec"

// Expires is when a run that ended is to be deleted; 0 is never.
func (p *Plan) Expires(s *State) Millis {
	ttl := p.Spec.TTLStrategy
	if ttl == nil || s.Finished == 0 {
		return 0
	}
	seconds := ttl.SecondsAfterCompletion
	switch {
	case s.Phase == spec.WorkflowFailed && ttl.SecondsAfterFailure != nil:
		seconds = ttl.SecondsAfterFailure
	case s.Phase == spec.WorkflowSucceeded && ttl.SecondsAfterSuccess != nil:
		seconds = ttl.SecondsAfterSuccess
	}
	if seconds == nil {
		return 0
	}
	return s.Finished + Millis(*seconds)*1000
}
