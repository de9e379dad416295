package spec

import "encoding/json"

// ParallelSteps is one group of a steps template: its members run side by side. In JSON it
// is the bare list.
type ParallelSteps struct {
	Steps []WorkflowStep `json:"-"`
}

// MarshalJSON writes the bare list.
func (p ParallelSteps) MarshalJSON() ([]byte, error) {
	if p.Steps == nil {
		return []byte("[]"), nil
	}
	return json.Marshal(p.Steps)
}

// UnmarshalJSON reads the bare list.
func (p *ParallelSteps) UnmarshalJSON(data []byte) error { return json.Unmarshal(data, &p.Steps) }

// WorkflowStep is one call of a template in a steps template.
type WorkflowStep struct {
	Name         string         `json:"name,omitempty"`
	Template     string         `json:"template,omitempty"`
	Inline       *Template      `json:"inline,omitempty"`
	Arguments    Arguments      `json:"arguments,omitempty"`
	TemplateRef  *TemplateRef   `json:"templateRef,omitempty"`
	WithItems    []Item         `json:"withItems,omitempty"`
	WithParam    string         `json:"withParam,omitempty"`
	WithSequence *Sequence      `json:"withSequence,omitempty"`
	When         string         `json:"when,omitempty"`
	ContinueOn   *ContinueOn    `json:"continueOn,omitempty"`
	OnExit       string         `json:"onExit,omitempty"`
	Hooks        LifecycleHooks `json:"hooks,omitempty"`
}

// ContinueOn lists the ends that do not stop what comes after.
type ContinueOn struct {
	Error  bool `json:"error,omitempty"`
	Failed bool `json:"failed,omitempty"`
}
