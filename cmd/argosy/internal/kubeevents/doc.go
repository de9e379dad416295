// Package kubeevents tells Kubernetes of runs and their nodes, as events like those of Argo's
// controller. A turn leaves what it changed in a queue, and never waits: what finds it full is dropped
// and counted. A few senders make events of what is there.
//
//	turn -> Committed -> queue -> send -> API server
//	             \ full: dropped
package kubeevents
