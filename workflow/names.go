package workflow

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"

	"argosy/workflow/spec"
)

// Key identifies a node within its run. It is the path of scopes from the root, so that
// a node's parent and its Argo name both follow from it:
//
//	""                            the root
//	"/[0].gen"                    step gen of the first group
//	"/[1].map/(3:part-3)"         its fourth loop item
//	"/[1].map/(3:part-3)/(0)"     that item's first attempt under a retryStrategy
//	"/.build/.compile"            task compile of the dag that task build runs
//	"/.build/!onExit"             the exit handler of that task
//
// Slashes within a segment are escaped as %2F and percent signs as %25.
type Key string

// Root is the key of a run's root node.
const Root Key = ""

var (
	escapeSegment   = strings.NewReplacer("%", "%25", "/", "%2F")
	unescapeSegment = strings.NewReplacer("%25", "%", "%2F", "/")
)

// Child returns the key of a child, given the part that its name adds to its parent's.
func (k Key) Child(segment string) Key { return k + "/" + Key(escapeSegment.Replace(segment)) }

// Step returns the key of a step of group g.
func (k Key) Step(g int, name string) Key { return k.Child(fmt.Sprintf("[%d].%s", g, name)) }

// Task returns the key of a task of a DAG.
func (k Key) Task(name string) Key { return k.Child("." + name) }

// Attempt returns the key of attempt n under a Retry node.
func (k Key) Attempt(n int) Key { return k.Child(fmt.Sprintf("(%d)", n)) }

// Hook returns the key of a node's lifecycle hook, "exit" for its exit handler.
func (k Key) Hook(name string) Key {
	if name == spec.ExitLifecycleEvent {
		return k.Child("!onExit")
	}
	return k.Child("!hooks." + name)
}

// InExit says that the node is an exit handler, or belongs to one.
func (k Key) InExit() bool {
	return strings.HasSuffix(string(k), "/!onExit") || strings.Contains(string(k), "/!onExit/")
}

// hook returns the name of the hook that the key is one of.
func (k Key) hook() (name string, ok bool) {
	s := k.Segment()
	if s == "!onExit" {
		return spec.ExitLifecycleEvent, true
	}
	return strings.CutPrefix(s, "!hooks.")
}

// Parent returns the key of the enclosing scope; the root has none.
func (k Key) Parent() (Key, bool) {
	i := strings.LastIndexByte(string(k), '/')
	if i < 0 {
		return "", false
	}
	return k[:i], true
}

// Segment returns the last segment, unescaped.
func (k Key) Segment() string {
	return unescapeSegment.Replace(string(k[strings.LastIndexByte(string(k), '/')+1:]))
}

// Beyond says that the node is, or is below, an item of a loop that has so many before it: whoever
// tells of single nodes stops there, as there may be a million.
func (k Key) Beyond(items int) bool {
	for s := range strings.SplitSeq(string(k), "/") {
		rest, ok := strings.CutPrefix(s, "(")
		number, _, item := strings.Cut(rest, ":")
		if i, err := strconv.Atoi(number); ok && item && err == nil && i >= items {
			return true
		}
	}
	return false
}

// call is the step or task that the node comes from, and of which of the two kinds it is.
func (k Key) call() (kind, name string) {
	for ; k != Root; k, _ = k.Parent() {
		switch s := k.Segment(); {
		case strings.HasPrefix(s, "["):
			_, name, _ = strings.Cut(s, "].")
			return "steps", name
		case strings.HasPrefix(s, "."):
			return "tasks", s[1:]
		}
	}
	return "", ""
}

// Depth counts the template calls above the node: what Argo's recursion guard counts.
func (k Key) Depth() int {
	d := 0
	for s := range strings.SplitSeq(string(k), "/") {
		if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "[") || strings.HasPrefix(s, "!") {
			d++
		}
	}
	return d
}

// Name returns the node's Argo name, such as wf[1].map(3:part-3)(0).
func (k Key) Name(run string) string {
	if k == Root {
		return run
	}
	var b strings.Builder
	b.WriteString(run)
	for i, s := range strings.Split(string(k), "/") {
		if i > 0 {
			b.WriteString(segmentName(unescapeSegment.Replace(s)))
		}
	}
	return b.String()
}

// segmentName is what a segment adds to a node's name.
func segmentName(segment string) string {
	if rest, ok := strings.CutPrefix(segment, "!"); ok {
		return "." + rest
	}
	return segment
}

// DisplayName returns the name that users see for the node, such as map(3:part-3)(0): the
// part of its name that starts at its step or task.
func (k Key) DisplayName(run string) string {
	name := ""
	for rest := k; rest != Root; {
		s := rest.Segment()
		rest, _ = rest.Parent()
		switch {
		case strings.HasPrefix(s, "["):
			_, step, _ := strings.Cut(s, "].")
			return step + name
		case strings.HasPrefix(s, "."):
			return s[1:] + name
		}
		name = segmentName(s) + name
	}
	return run + name
}

// display is the name that users see for a node.
func (n *Node) display(run string) string {
	if n.Display != "" {
		return n.Display
	}
	return n.Key.DisplayName(run)
}

// ID returns the node's Argo id: the workflow's name for the root, otherwise
// <workflow>-<32-bit FNV-1a of the node's name>.
func (k Key) ID(run string) string { return NodeID(run, k.Name(run)) }

// NodeID returns the Argo id of the node with the given full name.
func NodeID(run, name string) string {
	if name == run {
		return run
	}
	h := fnv.New32a()
	h.Write([]byte(name))
	return fmt.Sprintf("%s-%v", run, h.Sum32())
}

// maxPodName leaves room for the suffixes that Kubernetes adds to what a pod owns.
const maxPodName = 253 - 10

// PodName returns the name of the node's pod, Argo's "v2" form:
// <workflow>-<template>-<hash of the node's name>. The template is named as in Node.Template.
func PodName(run, template string, k Key) string {
	name := k.Name(run)
	if name == run {
		return run
	}
	h := fnv.New32a()
	h.Write([]byte(name))
	prefix, template := run, localName(template)
	if template != "" && !strings.Contains(run, template) {
		prefix += "-" + template
	}
	hash := fmt.Sprint(h.Sum32())
	if room := maxPodName - len(hash) - 1; len(prefix) > room {
		prefix = prefix[:room]
	}
	return prefix + "-" + hash
}
