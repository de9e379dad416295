// Package warm hands steps to pods that stay: each runs one after the other.
//
//	Run -> wait -------------> run -------------------> Done
//	         |                  ^  \
//	         v                  |   pod lost, or its connection: *worker.Fault
//	pod:  starts -> joins -> idle <-> busy -> leaves
//	                           \______________/
//	                       idle for too long, or too many steps
//
// A pool holds the pods of one kind, which its key names: of one template of one run, and alike in
// all that shapes a pod. Pods belong to the worker that started them and end with it. What a pod
// is, and how it comes and goes, is the launcher's to know.
//
// Pods are started while steps wait, as long as that pays: as long as the pods that are there would
// take longer for what waits than another one takes to come. At first two start at once, then as many
// as have come, up to the pool's limit.
package warm
