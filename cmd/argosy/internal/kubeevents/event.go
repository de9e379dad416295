package kubeevents

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"argosy/coordinator"
	"argosy/workflow"
	"argosy/workflow/spec"
)

// MaxItems is how many items of a loop have events, of a loop that is not chunked. A chunked loop's have
// none.
const MaxItems = 100

// Annotations that Argo's events have.
const (
	annotationNodeType     = "workflows.argoproj.io/node-type"
	annotationNodeName     = "workflows.argoproj.io/node-name"
	annotationNodeID       = "workflows.argoproj.io/node-id"
	annotationNodeStart    = "workflows.argoproj.io/node-start-time"
	annotationWorkflowName = "workflows.argoproj.io/workflow-name"
	annotationWorkflowUID  = "workflows.argoproj.io/workflow-uid"
)

const (
	// component is who the events are of.
	component  = "argosy-coordinator"
	maxMessage = 1024
	maxName    = 253
)

// event is one to make.
type event struct {
	run     *workflow.Run
	life    int
	node    *workflow.Node // nil: it is the run's
	reason  string
	message string
	bad     bool
	at      workflow.Millis
}

// ofRun tells what became of a run in a turn.
func ofRun(c *coordinator.Change, tell func(*event)) {
	was, s := c.Was, c.State
	of := func(reason, message string, bad bool, at workflow.Millis) {
		tell(&event{run: c.Run, life: s.Lives, reason: reason, message: message, bad: bad, at: at})
	}
	if was.Started == 0 && s.Started != 0 {
		of("WorkflowRunning", "Workflow Running", false, s.Started)
	}
	if s.Expired && !was.Expired {
		of("WorkflowTimedOut", "Workflow timed out", true, c.Now)
	}
	switch {
	case s.Finished == 0 || was.Finished != 0:
	case s.Phase == spec.WorkflowSucceeded:
		of("WorkflowSucceeded", "Workflow completed", false, s.Finished)
	default:
		of("WorkflowFailed", s.Message, true, s.Finished)
	}
}

// ofNodes tells which nodes a turn started and ended.
func ofNodes(c *coordinator.Change, tell func(*event)) {
	for _, n := range c.Nodes {
		if !shown(n) || n.Key.Beyond(MaxItems) {
			continue
		}
		was := spec.NodePhase("")
		if before := c.Before[n.Key]; before != nil {
			was = before.Phase
		}
		if n.Phase == was {
			continue
		}
		ends := n.Phase == spec.NodeSucceeded || n.Failed()
		// Of a step it is known that it runs when it has ended.
		if n.Phase == spec.NodeRunning || ends && was != spec.NodeRunning {
			tell(ofNode(c, n, spec.NodeRunning, n.Started))
		}
		if ends {
			tell(ofNode(c, n, n.Phase, n.Finished))
		}
	}
}

// shown says that a record is a node's which Argo would have, too.
func shown(n *workflow.Node) bool {
	return n.Type != "" && (n.Loop == nil || !strings.HasPrefix(n.Key.Segment(), "["))
}

// ofNode words what becomes of a node as Argo does.
func ofNode(c *coordinator.Change, n *workflow.Node, phase spec.NodePhase, at workflow.Millis) *event {
	message := string(phase) + " node " + n.Key.Name(c.Run.Name)
	if n.Message != "" {
		message += ": " + n.Message
	}
	return &event{
		run: c.Run, life: c.State.Lives, node: n, reason: "WorkflowNode" + string(phase), message: message,
		bad: phase == spec.NodeFailed || phase == spec.NodeError, at: at,
	}
}

// object is the event as Kubernetes has it. Its name follows from what it tells, so that what is told
// twice is there once.
func (ev *event) object() *corev1.Event {
	sum := sha256.New()
	for _, part := range []string{ev.run.ID, strconv.Itoa(ev.life), ev.reason} {
		sum.Write([]byte(part + "\x00"))
	}
	annotations := map[string]string{}
	if n := ev.node; n != nil {
		sum.Write([]byte(n.Key))
		annotations[annotationNodeType] = string(n.Type)
		annotations[annotationNodeName] = n.Key.Name(ev.run.Name)
		annotations[annotationNodeID] = n.Key.ID(ev.run.Name)
		annotations[annotationNodeStart] = strconv.FormatInt(n.Started.Time().UnixNano(), 10)
	}
	suffix := "." + hex.EncodeToString(sum.Sum(nil)[:8])
	at := metav1.NewTime(ev.at.Time())
	kind := corev1.EventTypeNormal
	if ev.bad {
		kind = corev1.EventTypeWarning
	}
	return &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{
			Name: ev.run.Name[:min(len(ev.run.Name), maxName-len(suffix))] + suffix, Namespace: ev.run.Namespace, Annotations: annotations,
		},
		InvolvedObject: corev1.ObjectReference{
			APIVersion: spec.APIVersion, Kind: spec.KindWorkflow, Namespace: ev.run.Namespace, Name: ev.run.Name, UID: types.UID(ev.run.ID),
		},
		Reason: ev.reason, Message: cut(ev.message), Type: kind, Count: 1, FirstTimestamp: at, LastTimestamp: at,
		Source: corev1.EventSource{Component: component}, ReportingController: component,
	}
}

// cut shortens a message to what Kubernetes takes.
func cut(message string) string {
	if len(message) <= maxMessage {
		return message
	}
	const more = "..."
	return strings.ToValidUTF8(message[:maxMessage-len(more)], "") + more
}
