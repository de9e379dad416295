// Package join lets the coordinator and the worker use the queue, which know nothing of each
// other: what one declares, with what the other has. The binary and the simulator join them
// in the same way.
package join
