// Package coordinator takes the turns of runs: it loads what a run has become, asks the pure
// core what follows, commits the answer and sends what became ready to the queue.
//
// A coordinator has no state that another needs. Any number of them work at once; one may be
// killed at any line, and whoever takes the run next goes on from what was committed.
//
//	      Claim            Begin            Advance           Commit            Dispatch
//	due --------> ticket --------> loaded ----------> delta ----------> orders --------> Settle
//	                                 ^  |  missing nodes |      fenced: drop it all
//	                                 +--+----------------+
//
// A turn also repairs: deliveries whose worker died, or that the queue lost, are sent anew.
package coordinator
