package workflow

import (
	"time"

	"argosy/workflow/spec"
)

// Estimate is how long a run is likely to take: as long as the last one of its kind that succeeded.
type Estimate struct {
	Run     string `json:"r"` // the one before
	Seconds int    `json:"s"`
}

// labelCron is of what a schedule started.
const labelCron = "workflows.argoproj.io/cron-workflow"

// Kinds are of what kinds a run is, each by a name that others of the namespace share: its schedule's
// and its templates'. The first one says how long it is likely to take.
func (r *Run) Kinds() (kinds []string) {
	for _, label := range []string{labelCron, labelClusterWorkflowTemplate, labelWorkflowTemplate} {
		if name := r.Labels[label]; name != "" {
			kinds = append(kinds, label[len("workflows.argoproj.io/"):]+"/"+name)
		}
	}
	return kinds
}

// Estimate is what a run that has succeeded says of others of its kinds; nil if it says nothing.
func (s *State) Estimate(r *Run) *Estimate {
	if s.Phase != spec.WorkflowSucceeded || s.Finished == 0 {
		return nil
	}
	return &Estimate{Run: r.ID, Seconds: int(s.Finished.Time().Sub(s.Started.Time()) / time.Second)}
}
