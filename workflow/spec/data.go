package spec

// Data lists artifacts and transforms the list.
type Data struct {
	Source         DataSource     `json:"source"`
	Transformation Transformation `json:"transformation"`
}

// DataSource is where the data come from.
type DataSource struct {
	ArtifactPaths *ArtifactPaths `json:"artifactPaths,omitempty"`
}

// ArtifactPaths lists the keys below an artifact.
type ArtifactPaths struct {
	Artifact `json:",inline"`
}

// Transformation is a chain of expressions.
type Transformation []TransformationStep

// TransformationStep is one expression of the chain.
type TransformationStep struct {
	Expression string `json:"expression"`
}
