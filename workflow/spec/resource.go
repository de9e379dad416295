package spec

// ResourceTemplate acts on a Kubernetes object.
type ResourceTemplate struct {
	Action            string        `json:"action"`
	MergeStrategy     string        `json:"mergeStrategy,omitempty"`
	Manifest          string        `json:"manifest,omitempty"`
	ManifestFrom      *ManifestFrom `json:"manifestFrom,omitempty"`
	SetOwnerReference bool          `json:"setOwnerReference,omitempty"`
	SuccessCondition  string        `json:"successCondition,omitempty"`
	FailureCondition  string        `json:"failureCondition,omitempty"`
	Flags             []string      `json:"flags,omitempty"`
}

// ManifestFrom is where a manifest is read.
type ManifestFrom struct {
	Artifact *Artifact `json:"artifact"`
}
