// Package tree shows a run: its nodes as a tree, what changed between two states as lines,
// and how it ended. All of that is pure text made from a Workflow and a time; Live puts it
// on a terminal, Log on anything else.
//
//	Live:  idle --Update--> drawn --Update or second passed--> redrawn in place --Close--> left on screen
package tree
