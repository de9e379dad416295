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
// Pods are started while steps wait: at first two at once, then as many as have come, up to the
// pool's limit. So quick steps do not wait for more pods than they need, and slow ones soon have
// them all.
package warm
