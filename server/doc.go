// Package server is Argosy's HTTP face: the part of Argo Server's REST interface that
// submits, lists, reads, watches, ends and deletes runs and streams their logs.
//
// Service holds what the verbs do, free of HTTP, so that a command can use it in its own
// process. Handler puts Argo's paths, JSON and error bodies on top of it. Neither keeps
// anything about runs between requests but caches of what never changes (a spec is named
// by its content): the Store is the only memory, so any number of servers may stand side by
// side.
//
// A server's life has two ends. When stop closes it takes no new connection, and streams
// end with the state they last sent; when kill closes, whatever is left is cut off:
//
//	serving --stop--> draining --last request, or kill--> closed
package server
