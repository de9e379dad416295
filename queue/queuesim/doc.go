// Package queuesim has what a simulator puts in the place of the world around queue: a Redis
// and a Broker whose time, order and failures the simulator decides. Nothing in it reads a
// clock, draws a random number or starts a goroutine (but for Broker.Serve, which stands
// outside of simulations).
//
// Server is a Redis: miniredis without a network, our Lua scripts under the interpreter that
// miniredis has, kept warm, since a simulation runs hundreds of thousands of them. A process
// of the simulation gets a connection through a Gate, which sees each command before and
// after it is applied, and may hold it up, fail it, or never return.
//
//	queue.Conn --command--> Gate.Before --> Server --> Gate.After --> answer
//	                             |           ^  |            |
//	                       error, no return  |  +- BRPOP: Gate.Wait until something is there
//	                                         +---- Save, Restore: what a cut log leaves
package queuesim
