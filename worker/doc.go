// Package worker runs steps: it takes deliveries from the queue, executes them and reports
// how they ended.
//
//	Serve -> Claim -> resolve -> Execute (decorated) -> Report
//	           |                     |                    |
//	        refused:              cancelled:           fenced:
//	        dropped               see below            dropped
//
// A worker takes a delivery only when it has a slot for it, and holds a lease on it until
// the report went through. One goroutine renews all leases. A delivery's life here:
//
//	claimed --resolved--> executing --ended--> reporting --> done
//	                          |                    |
//	       lease says cancel: |ErrStopped          | lease lost: dropped
//	       lease lost:        |ErrLeaseLost, never reported
//	       shutdown:          |ErrShutdown, handed back to the queue
//
// A worker that cannot reach the queue keeps its steps running and its reports waiting:
// nobody else can take them over meanwhile, and a report is fenced by the queue in any case.
//
// Executor is the seam to what really runs a step (worker/process, worker/kube); every
// concern around it is a decorator, one file each, wired in order by Decorate. Gateway is
// what step pods talk to, so that they need no credentials but a token for their own step.
package worker
