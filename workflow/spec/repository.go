package spec

// ArtifactRepository is where a run's artifacts go unless they say otherwise.
type ArtifactRepository struct {
	ArchiveLogs *bool                          `json:"archiveLogs,omitempty"`
	S3          *S3ArtifactRepository          `json:"s3,omitempty"`
	Artifactory *ArtifactoryArtifactRepository `json:"artifactory,omitempty"`
	HDFS        *HDFSArtifactRepository        `json:"hdfs,omitempty"`
	OSS         *OSSArtifactRepository         `json:"oss,omitempty"`
	GCS         *GCSArtifactRepository         `json:"gcs,omitempty"`
	Azure       *AzureArtifactRepository       `json:"azure,omitempty"`
	Plugin      *PluginArtifactRepository      `json:"plugin,omitempty"`
}

// S3ArtifactRepository keeps artifacts in an S3 bucket.
type S3ArtifactRepository struct {
	S3Bucket  `json:",inline"`
	KeyFormat string `json:"keyFormat,omitempty"`
	KeyPrefix string `json:"keyPrefix,omitempty"`
}

// ArtifactoryArtifactRepository keeps artifacts in JFrog Artifactory.
type ArtifactoryArtifactRepository struct {
	ArtifactoryAuth `json:",inline"`
	RepoURL         string `json:"repoURL,omitempty"`
	KeyFormat       string `json:"keyFormat,omitempty"`
}

// HDFSArtifactRepository keeps artifacts in HDFS.
type HDFSArtifactRepository struct {
	HDFSConfig `json:",inline"`
	PathFormat string `json:"pathFormat,omitempty"`
	Force      bool   `json:"force,omitempty"`
}

// OSSArtifactRepository keeps artifacts in Alibaba Cloud OSS.
type OSSArtifactRepository struct {
	OSSBucket `json:",inline"`
	KeyFormat string `json:"keyFormat,omitempty"`
}

// GCSArtifactRepository keeps artifacts in Google Cloud Storage.
type GCSArtifactRepository struct {
	GCSBucket `json:",inline"`
	KeyFormat string `json:"keyFormat,omitempty"`
}

// AzureArtifactRepository keeps artifacts in Azure Storage.
type AzureArtifactRepository struct {
	AzureBlobContainer `json:",inline"`
	BlobNameFormat     string `json:"blobNameFormat,omitempty"`
}

// PluginArtifactRepository keeps artifacts with an artifact driver plugin.
type PluginArtifactRepository struct {
	Name          string `json:"name,omitempty"`
	Configuration string `json:"configuration,omitempty"`
	KeyFormat     string `json:"keyFormat,omitempty"`
}
