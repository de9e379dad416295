// Package workflow is the engine's pure core: it decides how a run goes on.
//
// It does no I/O, reads no clock, starts no goroutine, logs nothing and draws no random
// number; time is an argument. A turn is one call:
//
//	Advance(view, events, now) -> Delta{state, changed nodes, dispatches, timers}
//
// The caller (the coordinator) loads a View of the run, hands over what happened since, and
// commits the Delta as a whole. The same inputs always give the same Delta, so a turn that
// was lost before its commit is simply taken again.
//
// A View may hold only a part of the run. When Advance needs a node that the View does not
// hold it returns *MissingError with the keys; the caller loads them and calls again. That
// is how a completion costs what it changes, and not the size of the run.
//
// A node's life:
//
//	            +---------- when false -----------> Skipped
//	            |           depends false --------> Omitted
//	(launched) -+
//	            |  leaf: Pending --dispatched, result--> Succeeded | Failed | Error
//	            +  scope (Steps, DAG, TaskGroup, Retry): Running --last child--> the same
//
// Scopes keep counters of their children, never lists; a scope is evaluated when a child
// ends, and ends itself when no child runs and nothing more may start. What finds no room in a
// turn waits in State.Ready; a run that is ending starts nothing and takes all of that back.
//
// One file per template kind and per concern: steps.go, dag.go, leaf.go, loop.go, items.go (what
// a loop runs over), retry.go, inputs.go, outputs.go, scope.go and children.go (what names a
// template may use), names.go.
package workflow
