package workflow

import "argosy/workflow/spec"

// Places are how many runs may be under way at once, in all and in a namespace. A run asks for
// one before it begins, and before it asks for its own locks, and has it until it has ended. It
// goes as with locks, see lock.go.

// RunPlace is the key that a run's place is asked for by.
const RunPlace Key = "/!place"

const (
	placeWaits = "wait"
	placeHeld  = "held"
)

// postponed is Argo's message.
const postponed = "Workflow processing has been postponed because too many workflows are already running"

// WaitsToBegin says that the run has not begun, for its place or its own locks.
func (s *State) WaitsToBegin() bool { return s.waitsForPlace() || s.waitsForLock() }

func (s *State) waitsForPlace() bool { return s.Place == placeWaits }

// awaitPlace has the run wait for its place.
func (t *turn) awaitPlace() {
	s := &t.delta.State
	s.Phase, s.Message = spec.WorkflowPending, postponed
	s.Place = placeWaits
	s.Held++
	t.shares()
	t.ordered().Place = LockAsk
}

func (t *turn) placeAnswered(a *LockAnswer) {
	s := &t.delta.State
	switch {
	case !a.Granted:
	case s.Place == "":
		t.ordered().Place = LockFree
	case s.Place == placeWaits:
		s.Place, s.Message = placeHeld, ""
		s.Held--
		t.ordered().Place = LockHold
		t.takeLocks()
	default:
		t.ordered().Place = LockHold
	}
}

// orderPlace says again what is known of the place.
func (t *turn) orderPlace() {
	switch t.delta.State.Place {
	case placeWaits:
		t.ordered().Place = LockAsk
	case placeHeld:
		t.ordered().Place = LockHold
	}
}
