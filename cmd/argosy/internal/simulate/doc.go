// Package simulate runs whole fleets of Argosy in one goroutine's time, by the dice of a
// seed: the real coordinator and worker logic and the real Lua scripts, over a Redis and a
// Broker in memory, on virtual time, with whatever can go wrong going wrong.
//
//	          seed
//	           |
//	    +-- scheduler --+      picks who goes on, and moves the time
//	    |               |
//	coordinators     workers     clients (submit, stop, delete)     processes, which die
//	    |               |           |                               and come back
//	    +------ gate (process.go) --+     every command to Redis and every call of the Broker:
//	                |                     go on later, fail, lose the answer, stall, die
//	    queuesim.Server, queuesim.Broker  lose what came last, lose, double, delay, reorder
//	                |
//	             watch        sees every command that was applied and knows the rules
//
// A process is some goroutines of which at most one of all processes runs at any time: it
// hands over to the scheduler before each command, and the scheduler hands over to the next.
// So a seed's execution is one sequence, the same each time.
//
// Faults cease after a while, and then every run has to end, as it would have ended without
// them.
package simulate
