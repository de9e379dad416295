package spec

// DAGTemplate is a graph of tasks.
type DAGTemplate struct {
	Target   string    `json:"target,omitempty"`
	Tasks    []DAGTask `json:"tasks"`
	FailFast *bool     `json:"failFast,omitempty"`
}

// DAGTask is one call of a template in a DAG.
type DAGTask struct {
	Name         string         `json:"name"`
	Template     string         `json:"template,omitempty"`
	Inline       *Template      `json:"inline,omitempty"`
	Arguments    Arguments      `json:"arguments,omitempty"`
	TemplateRef  *TemplateRef   `json:"templateRef,omitempty"`
	Dependencies []string       `json:"dependencies,omitempty"`
	WithItems    []Item         `json:"withItems,omitempty"`
	WithParam    string         `json:"withParam,omitempty"`
	WithSequence *Sequence      `json:"withSequence,omitempty"`
	When         string         `json:"when,omitempty"`
	ContinueOn   *ContinueOn    `json:"continueOn,omitempty"`
	OnExit       string         `json:"onExit,omitempty"`
	Depends      string         `json:"depends,omitempty"`
	Hooks        LifecycleHooks `json:"hooks,omitempty"`
}

// Task returns the task of that name, nil if there is none.
func (d *DAGTemplate) Task(name string) *DAGTask {
	for i := range d.Tasks {
		if d.Tasks[i].Name == name {
			return &d.Tasks[i]
		}
	}
	return nil
}
