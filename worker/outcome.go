package worker

import (
	"errors"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// The words of Argo v4 for how a step's main container ended.
const (
	// DeadlineMessage is what a step that exceeded its deadline ends with.
	DeadlineMessage = "Pod was active on the node longer than the specified deadline"
	// StartExitCode is the exit code of a step whose command cannot be started.
	StartExitCode = 64
	// ScriptPath is where a script template's source is staged.
	ScriptPath = "/argo/staging/script"
	// MaxResult bounds outputs.result.
	MaxResult = 256 << 10
)

// Exited is the result of a step whose command ended with the exit code; for one that was
// killed by a signal that is 128 plus the signal's number. The detail may be empty.
func Exited(code int, detail string) workflow.Result {
	r := workflow.Result{Phase: spec.NodeSucceeded, Outputs: &workflow.Values{ExitCode: &code}}
	if code == 0 {
		return r
	}
	r.Phase, r.Message = spec.NodeFailed, workflow.ExitMessage(code)
	if detail != "" {
		r.Message += ": " + detail
	}
	return r
}

// NotStarted is the result of a step whose command cannot be started, such as the error of
// exec.LookPath: Failed, as the command is the user's.
func NotStarted(err error) workflow.Result {
	return Exited(StartExitCode, "failed to find name in PATH: "+err.Error())
}

// Command returns what a container or script template runs. A template without command
// leaves the choice to its image: then the first part is empty.
func Command(t *spec.Template) (command, args []string) {
	switch {
	case t.Container != nil:
		return t.Container.Command, t.Container.Args
	case t.Script != nil:
		command, args = t.Script.Command, t.Script.Args
		if t.Script.Source != "" {
			args = append(args[:len(args):len(args)], ScriptPath)
		}
		return command, args
	}
	return nil, nil
}

// asResult turns what Execute returned into a result to report.
func asResult(r workflow.Result, err error) workflow.Result {
	if err == nil {
		return r
	}
	r.Message = err.Error()
	if errors.Is(err, ErrStopped) {
		r.Phase, r.Stopped = spec.NodeFailed, true
		return r
	}
	r.Phase, r.Class = spec.NodeError, ClassExecutor
	if f, ok := errors.AsType[*Fault](err); ok {
		r.Class = f.Class
	}
	return r
}
