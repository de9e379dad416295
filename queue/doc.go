// Package queue keeps runs in Redis and carries their steps to workers. It is the only
// importer of go-redis and asynq, and decides nothing about a workflow.
//
// Each role has a type of its own over one Conn: Runs (server, CLI), Turns and Pools
// (coordinator), Tasks and a Broker (worker), Logs, Demand (autoscaler).
//
// A run's place among those that need a turn (due and taken are per shard):
//
//	            ring                    Claim                       Settle
//	(created) -------> due, score now ---------> taken = 0 --------------------> gone (finished)
//	                      ^   ^                  score = now+lease   |  |
//	                      |   |                      |  ^            |  +-------> due, score next
//	                      |   |   lease passes: the  |  | ring:      |            (timer, check)
//	                      |   +-- claimer is dead ---+  | taken = 1  |
//	                      |                             +            |
//	                      +---------------- taken was 1 -------------+
//
// One delivery of a node, an entry of the run's fly hash (every arrow is one script):
//
//	          Commit          Tasks.Claim          Report
//	(decided) ------> sent ------------> held ------------> ended: an event in the run's in-list
//	                   | |                | |
//	                   | |                | +- Cancel -----> cancel -- Report, as from held
//	                   | |                +--- lease passes, ------+
//	                   | |                     or Release          |
//	                   | +--- the broker has no such task ---------+--> lost: sent anew with
//	                   +--- Cancel --> ended                            the next number, or ended
//
// A claim, a renewal or a report that names another number than the entry's is refused, so
// at most one delivery of a node is ever accepted. So is, unless the entry is at cancel, a report
// of a step that was ended because the run had asked: Redis has lost that it asked, and the step
// is sent anew when its lease has passed.
//
// Every script touches the keys of one slot: a run's {r:ID}, a shard's {k} or a pool's
// {pool}. Steps across slots go in an order such that a crash between two of them is
// repaired by whoever looks next; see inOrder. Only Redis's clock is used.
package queue
