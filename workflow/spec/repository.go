package spec

import (
	"cmp"
	"path"
	"strings"
)

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

// Location is where the repository keeps artifacts, with the key below which those of a step are,
// which is otherwise if the repository says nothing; nil: it has no store.
func (r *ArtifactRepository) Location(otherwise string) *ArtifactLocation {
	l := &ArtifactLocation{}
	switch {
	case r.S3 != nil:
		l.S3 = &S3Artifact{S3Bucket: r.S3.S3Bucket, Key: cmp.Or(r.S3.KeyFormat, path.Join(r.S3.KeyPrefix, otherwise))}
	case r.GCS != nil:
		l.GCS = &GCSArtifact{GCSBucket: r.GCS.GCSBucket, Key: cmp.Or(r.GCS.KeyFormat, otherwise)}
	case r.Azure != nil:
		l.Azure = &AzureArtifact{AzureBlobContainer: r.Azure.AzureBlobContainer, Blob: cmp.Or(r.Azure.BlobNameFormat, otherwise)}
	case r.OSS != nil:
		l.OSS = &OSSArtifact{OSSBucket: r.OSS.OSSBucket, Key: cmp.Or(r.OSS.KeyFormat, otherwise)}
	case r.Plugin != nil:
		l.Plugin = &PluginArtifact{Name: r.Plugin.Name, Configuration: r.Plugin.Configuration, Key: cmp.Or(r.Plugin.KeyFormat, otherwise)}
	case r.Artifactory != nil:
		at := strings.TrimRight(r.Artifactory.RepoURL, "/") + "/" + cmp.Or(r.Artifactory.KeyFormat, otherwise)
		l.Artifactory = &ArtifactoryArtifact{ArtifactoryAuth: r.Artifactory.ArtifactoryAuth, URL: at}
	default:
		return nil
	}
	return l
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
