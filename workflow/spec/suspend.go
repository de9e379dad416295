package spec

// SuspendTemplate waits for a duration or for somebody to resume it.
type SuspendTemplate struct {
	Duration string `json:"duration,omitempty"`
}
