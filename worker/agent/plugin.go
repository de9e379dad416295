package agent

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"argosy/worker"
	"argosy/worker/rpc"
	"argosy/workflow"
	"argosy/workflow/spec"
)

// plugin has a plugin carry out a plugin template: the first one that says it can. While one goes on
// with it, and is to be asked again, the step takes no slot.
func (a *Agent) plugin(ctx context.Context, s *worker.Step) (workflow.Result, error) {
	r := &rpc.Request{Template: s.Template}
	r.Workflow.Metadata = rpc.Metadata{Name: s.Run.Name, Namespace: s.Run.Namespace, UID: s.Run.ID}
	told := told{message: s.Waited}
	for {
		name, reply, err := a.ask(ctx, r)
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return workflow.Result{}, err
		default:
			if fault, ok := errors.AsType[*worker.Fault](err); ok {
				return workflow.Result{}, fault
			}
			return workflow.Result{Phase: spec.NodeFailed, Message: err.Error()}, nil
		}
		if reply == nil {
			return workflow.Result{Phase: spec.NodeFailed, Message: "no plugin executed the template"}, nil
		}
		n := reply.Node
		if workflow.Fulfilled(n.Phase) {
			return pluginResult(s.Template, n)
		}
		if reply.Requeue == nil || reply.Requeue.Duration <= 0 {
			return workflow.Result{Phase: spec.NodeFailed, Message: fmt.Sprintf("executor plugin %q left the node %s and does not say when to requeue it", name, orPending(n.Phase))}, nil
		}
		fmt.Fprintf(s.Log, "%s: %s: %s\n", name, orPending(n.Phase), n.Message)
		told.tell(ctx, s, n)
		if s.Aside != nil {
			s.Aside()
		}
		select {
		case <-ctx.Done():
			return workflow.Result{}, fmt.Errorf("waiting for executor plugin %q: %w", name, context.Cause(ctx))
		case <-time.After(reply.Requeue.Duration):
		}
	}
}

// ask asks one plugin after the other; nil: the template is none of theirs.
func (a *Agent) ask(ctx context.Context, r *rpc.Request) (string, *rpc.Reply, error) {
	for _, p := range a.plugins {
		reply, err := p.Execute(ctx, r)
		if err != nil || reply.Node != nil {
			return p.Name, reply, err
		}
	}
	return "", nil, nil
}

func orPending(phase spec.NodePhase) spec.NodePhase {
	if phase == "" {
		return spec.NodePending
	}
	return phase
}

// told is what the run knows of a plugin's doings.
type told struct {
	message  string
	progress spec.Progress
}

// tell tells the run what changed. Only a node that is pending says what it waits for. What cannot be
// told now is told the next time.
func (t *told) tell(ctx context.Context, s *worker.Step, n *rpc.Node) {
	message := ""
	if orPending(n.Phase) == spec.NodePending {
		message = n.Message
	}
	if message != t.message && s.Waits != nil && s.Waits(ctx, message) == nil {
		t.message = message
	}
	if n.Progress != "" && n.Progress != t.progress && s.Tells != nil && s.Tells(ctx, n.Progress) == nil {
		t.progress = n.Progress
	}
}

// pluginResult is how a plugin says that the template ended. What outputs are exported as is the
// template's to say, if the plugin does not.
func pluginResult(t *spec.Template, n *rpc.Node) (workflow.Result, error) {
	r := workflow.Result{Phase: n.Phase, Message: n.Message, Progress: n.Progress}
	if n.Outputs == nil {
		return r, nil
	}
	r.Outputs = &workflow.Values{Result: n.Outputs.Result, Artifacts: n.Outputs.Artifacts}
	if text := n.Outputs.Result; text != nil && len(*text) > worker.MaxResult {
		return workflow.Result{}, worker.Faultf(worker.ClassOutput, "the executor plugin's result has %d bytes, over the %d that a result may have", len(*text), worker.MaxResult)
	}
	if text := n.Outputs.ExitCode; text != nil {
		code, err := strconv.Atoi(*text)
		if err != nil {
			return workflow.Result{}, worker.Faultf(worker.ClassOutput, "the executor plugin's exit code %q is not a number", *text)
		}
		r.Outputs.ExitCode = &code
	}
	for i := range n.Outputs.Parameters {
		p := &n.Outputs.Parameters[i]
		if p.Value == nil {
			continue
		}
		out := workflow.Param{Name: p.Name, Value: p.Value.String(), Global: p.GlobalName}
		if declared := t.Outputs.GetParameterByName(p.Name); declared != nil && out.Global == "" {
			out.Global = declared.GlobalName
		}
		r.Outputs.Parameters = append(r.Outputs.Parameters, out)
	}
	for i := range r.Outputs.Artifacts {
		a := &r.Outputs.Artifacts[i]
		if declared := t.Outputs.GetArtifactByName(a.Name); declared != nil && a.GlobalName == "" {
			a.GlobalName = declared.GlobalName
		}
	}
	return r, nil
}
