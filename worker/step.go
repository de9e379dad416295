package worker

import (
	"cmp"
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
		Repository:    plan.Repository(),
		Template:      t,
		CaptureResult: wantResult,
		Log:           io.Discard,
		Avoid:         leaf.Avoid,
	}
	if t.ActiveDeadlineSeconds != nil {
		seconds, err := wholeSeconds(t.ActiveDeadlineSeconds)
		if err != nil {
			return nil, fmt.Errorf("reading activeDeadlineSeconds: %w", err)
		}
		s.Deadline = now.Add(seconds)
	}
	if t.Timeout != "" && !leaf.IsDaemon() { // whose time is over when it is ready
		d, err := time.ParseDuration(t.Timeout)
		if err != nil {
			return nil, fmt.Errorf("invalid timeout format. %w", err)
		}
		end := now.Add(d)
		if leaf.Started != 0 { // items of chunks start when they are run
			end = leaf.Started.Time().Add(d)
		}
		if s.Deadline.IsZero() || end.Before(s.Deadline) {
			s.Deadline = end
		}
	}
	if t.PendingTimeout != "" {
		if s.PendingTimeout, err = seconds(t.PendingTimeout); err != nil {
			return nil, fmt.Errorf("reading pendingTimeout: %w", err)
		}
	}
	for i := range t.Outputs.Artifacts {
		a := &t.Outputs.Artifacts[i]
		place(s, a)
	}
	return s, nil
}

// place completes where an output artifact goes: what it does not say itself comes from the
// template's archiveLocation, which has that of the run's repository. The repository's own
// bucket is not written down with each artifact, for whoever reads it has the same.
func place(s *Step, a *spec.Artifact) {
	if !a.HasLocation() {
		a.ArtifactLocation = s.location(fileName(s, a))
		return
	}
	if l := s.Template.ArchiveLocation; l != nil && !s.inRepository(l) {
		a.ArtifactLocation = a.In(l)
	}
}

// location is where a file of the step goes that names no place: below the key of the
// template's archiveLocation, or else Argo's default key format.
func (s *Step) location(file string) spec.ArtifactLocation {
	otherwise := path.Join(s.Run.Name, s.PodName)
	l := spec.ArtifactLocation{S3: &spec.S3Artifact{}}
	if of := s.Template.ArchiveLocation; of != nil && of.HasLocation() {
		l = *of
		l.ArchiveLogs = nil
	}
	key, keyed := l.Key()
	if !keyed {
		if below, err := l.Below(file); err == nil {
			return below
		}
		l = spec.ArtifactLocation{S3: &spec.S3Artifact{}} // what cannot take outputs
	}
	l = l.WithKey(path.Join(cmp.Or(key, otherwise), file))
	if s.inRepository(&l) {
		return l.Unplaced()
	}
	return l
}

// inRepository says that a location is in the run's repository.
func (s *Step) inRepository(l *spec.ArtifactLocation) bool {
	if s.Repository != nil {
		if of := s.Repository.Location(""); of != nil {
			return l.SamePlace(of)
		}
	}
	return !l.Placed()
}

// seconds reads a number of seconds, or a duration.
func seconds(text string) (time.Duration, error) {
	if n, err := strconv.ParseFloat(text, 64); err == nil {
		return time.Duration(n * float64(time.Second)), nil
	}
	return time.ParseDuration(text)
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

// fileName is what an output artifact is called in its store. Later deliveries write elsewhere,
// so that a zombie of an earlier one never overwrites what the winner wrote.
func fileName(s *Step, a *spec.Artifact) string {
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
	return file
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
