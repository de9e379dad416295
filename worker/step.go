package worker

import (
	"fmt"
	"io"
	"path"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/util/intstr"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// newStep builds the step of a leaf, for the n-th delivery of it.
func newStep(plan *workflow.Plan, run *workflow.Run, leaf *workflow.Node, n int, now time.Time) (*Step, error) {
	t, wantResult, err := plan.Resolve(run, leaf)
	if err != nil {
		return nil, fmt.Errorf("resolving template %q: %w", leaf.Template, err)
	}
	pods, err := plan.PodSpec(run)
	if err != nil {
		return nil, err
	}
	s := &Step{
		Run:           run,
		Key:           leaf.Key,
		PodName:       workflow.PodName(run.Name, t.Name, leaf.Key),
		Delivery:      n,
		Spec:          pods,
		Template:      t,
		CaptureResult: wantResult,
		Log:           io.Discard,
	}
	if t.ActiveDeadlineSeconds != nil {
		seconds, err := wholeSeconds(t.ActiveDeadlineSeconds)
		if err != nil {
			return nil, fmt.Errorf("reading activeDeadlineSeconds: %w", err)
		}
		s.Deadline = now.Add(seconds)
	}
	for i := range t.Outputs.Artifacts {
		a := &t.Outputs.Artifacts[i]
		if !a.HasLocation() {
			a.S3 = &spec.S3Artifact{Key: defaultKey(s, a)}
		}
	}
	return s, nil
}

func wholeSeconds(v *intstr.IntOrString) (time.Duration, error) {
	n := int64(v.IntVal)
	if v.Type == intstr.String {
		var err error
		if n, err = strconv.ParseInt(v.StrVal, 10, 64); err != nil {
			return 0, fmt.Errorf("%q is not a whole number", v.StrVal)
		}
	}
	if n < 0 {
		return 0, fmt.Errorf("%d is negative", n)
	}
	return time.Duration(n) * time.Second, nil
}

// defaultKey is where an output artifact goes that names no place: below the key of the
// template's archiveLocation, or else Argo's default key format. Later deliveries write elsewhere, so that a zombie of an earlier one never
// overwrites what the winner wrote.
func defaultKey(s *Step, a *spec.Artifact) string {
	file := a.Name
	if s.Delivery > 1 {
		file += ".d" + strconv.Itoa(s.Delivery)
	}
	switch ArchiveOf(a) {
	case ArchiveTar:
		file += ".tgz"
	case ArchiveZip:
		file += ".zip"
	}
	if l := s.Template.ArchiveLocation; l != nil && l.S3 != nil && l.S3.Key != "" {
		return path.Join(l.S3.Key, file)
	}
	return path.Join(s.Run.Name, s.PodName, file)
}

// Archive is how an artifact is packed.
type Archive string

// The ways to pack an artifact.
const (
	ArchiveTar  Archive = "tar" // tar and gzip, the default
	ArchiveZip  Archive = "zip"
	ArchiveNone Archive = "none"
)

// ArchiveOf says how an output artifact is packed.
func ArchiveOf(a *spec.Artifact) Archive {
	switch {
	case a.Archive != nil && a.Archive.None != nil:
		return ArchiveNone
	case a.Archive != nil && a.Archive.Zip != nil:
		return ArchiveZip
	}
	return ArchiveTar
}
