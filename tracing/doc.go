// Package tracing makes OpenTelemetry traces of runs.
//
// A run's trace is made by several processes, of which none remembers anything: coordinators tell of
// the run and its nodes, workers of what the time of their steps goes into. So each span is made when
// its time is over, at once and whole, and all ids follow from the run: whoever makes a span knows
// those of its parents without having heard of them.
//
//	workflow                 coordinator, when the run has ended
//	  workflowPhase          Pending, Running
//	  node                   coordinator, when the node has ended: of an attempt, of a loop, ..
//	    nodePhase            Pending (it waits for a worker), Running
//	    delivery             worker: a step, or a chunk of a loop
//	      createWorkflowPod  until its main container starts
//	      runInitContainer   staging: loadArtifact, ..
//	      runMainContainer   the command, which may add spans of its own
//	      runWaitContainer   collecting: saveArtifact, ..
//
// The names are Argo's where Argo has such a span. A span is made at most once for each time that it
// is told of, and one that is told of again has the same ids.
package tracing
