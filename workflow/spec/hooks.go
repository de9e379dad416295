package spec

// ExitLifecycleEvent is the hook that runs when its node has ended.
const ExitLifecycleEvent = "exit"

// LifecycleHooks are hooks by name.
type LifecycleHooks map[string]LifecycleHook

// LifecycleHook runs a template when its expression becomes true.
type LifecycleHook struct {
	Template    string       `json:"template,omitempty"`
	Arguments   Arguments    `json:"arguments,omitempty"`
	TemplateRef *TemplateRef `json:"templateRef,omitempty"`
	Expression  string       `json:"expression,omitempty"`
}
