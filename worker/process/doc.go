// Package process runs steps as local processes: the executor of the embedded mode, where
// there is no cluster.
//
// Each step gets a sandbox (package sandbox): the host's programs and files, on which it may
// write as it likes without anybody else ever seeing it, an empty /tmp, processes of its own
// that all end with it, and nothing of the worker's environment. A template's image is not
// looked at; its command must be a program of the host. Network and hostname are the host's.
//
// Inputs are staged and outputs collected by the worker's decorators, through the sandbox's
// view of the step's files.
//
// Volumes are directories below one that the worker keeps for them: those of claims outlive the
// step, the others go with it. Init containers, sidecars and the containers of a set have each a
// sandbox of their own, and share with others what they mount:
//
//	init, one after another --> main, or the graph of a set --> outputs
//	                       \--> sidecars, until that has ended --^
//
// A daemon is ready when its command has started and its readinessProbe passes, whose exec runs in
// the step's own sandbox. Its ports are the host's, at Config.Address.
//
// What a template asks for and only a cluster can give (volumes of other kinds, devices) is refused
// as Error with class "invalid".
package process
