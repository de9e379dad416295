package worker

import (
	"context"
	"errors"
	"path"
	"reflect"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"argosy/worker/handover"
	"argosy/workflow"
	"argosy/workflow/spec"
)

// NeedsRunner says that a step cannot be its command alone: something has to be put there
// before it or collected after it.
func NeedsRunner(s *Step) bool {
	return s.Template.TellsProgress() || pauses(s.Template) || s.CaptureResult || needsInputs(s.Template) || needsOutputs(s.Template)
}

// pauses says that a container of the template waits for somebody before or after its command.
func pauses(t *spec.Template) bool {
	if t.ContainerSet != nil {
		return slices.ContainsFunc(t.ContainerSet.Containers, func(c spec.ContainerNode) bool { return Pauses(&c.Container) })
	}
	c := Container(t)
	return c != nil && Pauses(c)
}

// Pauses says that a container's environment may ask for a pause.
func Pauses(c *corev1.Container) bool {
	return slices.ContainsFunc(c.Env, func(e corev1.EnvVar) bool {
		return (e.Name == handover.EnvPauseBefore || e.Name == handover.EnvPauseAfter) && (e.Value == "true" || e.ValueFrom != nil)
	})
}

// HandoverPlan is what the runner of a step must do. It looks up which inputs there are: a
// required one that is missing is a Fault before anything was started.
func HandoverPlan(ctx context.Context, s *Step, store ArtifactStore) (*handover.Plan, error) {
	t := s.Template
	p := &handover.Plan{Result: s.CaptureResult}
	if t.Script != nil && t.Script.Source != "" {
		p.ScriptPath, p.Script = ScriptPath, t.Script.Source
	}
	for i := range t.Inputs.Artifacts {
		in, err := planInput(ctx, &t.Inputs.Artifacts[i], store)
		if err != nil {
			return nil, err
		}
		p.Inputs = append(p.Inputs, in)
	}
	for i := range t.Outputs.Parameters {
		o := &t.Outputs.Parameters[i]
		if FilePath(o) == "" {
			continue
		}
		param := handover.Parameter{Name: o.Name, Path: o.ValueFrom.Path}
		if o.ValueFrom.Default != nil {
			param.Default = new(o.ValueFrom.Default.String())
		}
		p.Parameters = append(p.Parameters, param)
	}
	for i := range t.Outputs.Artifacts {
		a := &t.Outputs.Artifacts[i]
		out := handover.Output{Name: a.Name, Path: a.Path, Archive: string(ArchiveOf(a)), Optional: a.Optional}
		if a.Archive != nil && a.Archive.Tar != nil {
			out.Level = a.Archive.Tar.CompressionLevel
		}
		p.Outputs = append(p.Outputs, out)
	}
	return p, nil
}

func planInput(ctx context.Context, a *spec.Artifact, store ArtifactStore) (handover.Input, error) {
	in := handover.Input{Name: a.Name, Path: a.Path, Mode: a.Mode, Recurse: a.RecurseMode, Optional: a.Optional}
	switch {
	case a.Archive == nil, a.Git != nil: // a checkout comes packed, whatever its template says
	case a.Archive.None != nil:
		in.Archive = string(ArchiveNone)
	case a.Archive.Tar != nil:
		in.Archive = string(ArchiveTar)
	case a.Archive.Zip != nil:
		in.Archive = string(ArchiveZip)
	}
	switch {
	case !a.HasLocation() && a.Optional:
		in.Missing = true
		return in, nil
	case !a.HasLocation():
		return in, Faultf(ClassInput, "required artifact '%s' not supplied", a.Name)
	case a.Raw != nil:
		in.Raw = &a.Raw.Data
		return in, nil
	}
	objects, err := store.List(ctx, a)
	switch {
	case errors.Is(err, ErrNoArtifact) && a.Optional:
		in.Missing = true
	case errors.Is(err, ErrNoArtifact):
		return in, Faultf(ClassInput, "artifact %s failed to load: %w", a.Name, err)
	case err != nil:
		return in, Faultf(classOf(err), "artifact %s failed to load: %w", a.Name, err)
	}
	in.Objects = objects
	return in, nil
}

// FromOutcome is the result of a step whose runner told the outcome.
func FromOutcome(s *Step, o *handover.Outcome) (workflow.Result, error) {
	r := Exited(o.Code, o.Message)
	r.Progress = spec.LastProgress(o.Progress)
	if o.Fault != nil {
		return r, Faultf(o.Fault.Class, "%s", o.Fault.Message)
	}
	r.Outputs.Result = o.Result
	for i := range s.Template.Outputs.Parameters {
		p := &s.Template.Outputs.Parameters[i]
		if value, ok := o.Parameters[p.Name]; ok {
			r.Outputs.Parameters = append(r.Outputs.Parameters, workflow.Param{Name: p.Name, Value: value, Global: p.GlobalName})
		}
	}
	for _, a := range s.Template.Outputs.Artifacts {
		if slices.Contains(o.Artifacts, a.Name) {
			r.Outputs.Artifacts = append(r.Outputs.Artifacts, a)
		}
	}
	return r, nil
}

// AsDelivery returns the step as delivery n has it: its outputs go where n's would. That is
// for a worker that takes over what an earlier delivery started.
func (s *Step) AsDelivery(n int) *Step {
	if n == s.Delivery {
		return s
	}
	as := *s
	as.Delivery = n
	t := *s.Template
	t.Outputs.Artifacts = slices.Clone(t.Outputs.Artifacts)
	as.Template = &t
	for i := range t.Outputs.Artifacts {
		a := &t.Outputs.Artifacts[i]
		if reflect.DeepEqual(a.ArtifactLocation, s.location(fileName(s, a))) {
			a.ArtifactLocation = as.location(fileName(&as, a))
		}
	}
	return &as
}

// outcomeArtifact is where the gateway keeps an outcome that is too large to travel with
// its pod.
func outcomeArtifact(s *Step) *spec.Artifact {
	a := &spec.Artifact{Name: "outcome"}
	a.S3 = &spec.S3Artifact{Key: path.Join(s.Run.Name, s.PodName, ".outcome.d"+strconv.Itoa(s.Delivery)+".json")}
	return a
}
