// Package resource carries out resource templates: it gets, creates, applies, deletes, replaces
// or patches a Kubernetes object, waits until a condition on it holds, and reads outputs from it.
// The worker does so itself, without a pod and without kubectl.
//
//	manifest, flags -> target -> act ---------> wait --------------> outputs
//	                     |        |               |
//	            which object,   as the run's    a watch of the object; where
//	            by discovery    own account     that is forbidden, looks at it
//
// Whatever is done in a cluster is done as a service account of the run's namespace, with a
// token that the worker asks for, so that a workflow can do what its account may and no more.
//
// A step may be repeated, its worker being lost. What it creates therefore has a name and an
// annotation that follow from the step: a repeated create finds its own object and goes on. The
// other actions do no harm when they are repeated, but for a JSON patch that adds to a list.
//
// Objects of argoproj.io are no cluster's: they are Argosy's own, of the run's namespace.
//
// A worker needs these rights in the namespaces of its runs:
//
//	serviceaccounts/token        create, of the accounts that workflows may act as
//	leases (coordination.k8s.io) create, get, list, delete
package resource
