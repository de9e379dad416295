// Package kube runs steps as Kubernetes Jobs, one Job for each step.
//
//	Execute -> look up -> create ---------> follow -> classify -> Result
//	              |                           |
//	           there is one:               ctx ends:
//	           adopt it                    stop, deadline: delete it, wait for its pod's end
//	                                       lease lost, shutdown: leave it to be adopted
//
// A Job's name follows from the run and the node's key, which holds the attempt but not the
// delivery: so a worker that takes over finds the Job that its predecessor made, and no
// step is started twice. A Job that another delivery made keeps that delivery's number in
// its labels; its outputs go where that delivery's would.
//
// A step that stages nothing and collects nothing is the user's container alone. Otherwise
// an init container installs argosy-step, which wraps the command (see worker/handover). Pods
// hold no credentials: no service account token unless the user names an account, and of the
// gateway only a token for their own step.
//
// Steps of a template that asks for it share pods that stay instead: see package warm.
//
// One watch of Jobs and one of pods serve all steps of a worker; nothing is polled. What a
// pod's state means is decided by classify, which is pure.
//
// A worker needs these rights in the namespaces of its runs:
//
//	jobs (batch)  get, list, watch, create, delete
//	pods          get, list, watch
//	pods/log      get
//	events        list
//	persistentvolumeclaims  get, list, create, delete
//	poddisruptionbudgets (policy)  list, create, delete
package kube
