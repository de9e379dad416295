package spec

import (
	"fmt"
	"strings"
)

// Artifact is a file or directory that a step takes or gives.
type Artifact struct {
	Name             string `json:"name"`
	Path             string `json:"path,omitempty"`
	Mode             *int32 `json:"mode,omitempty"`
	From             string `json:"from,omitempty"`
	ArtifactLocation `json:",inline"`
	GlobalName       string           `json:"globalName,omitempty"`
	Archive          *ArchiveStrategy `json:"archive,omitempty"`
	Optional         bool             `json:"optional,omitempty"`
	SubPath          string           `json:"subPath,omitempty"`
	RecurseMode      bool             `json:"recurseMode,omitempty"`
	FromExpression   string           `json:"fromExpression,omitempty"`
	ArtifactGC       *ArtifactGC      `json:"artifactGC,omitempty"`
	Deleted          bool             `json:"deleted,omitempty"`
}

// ArtifactLocation is where an artifact is kept. At most one store is set.
type ArtifactLocation struct {
	ArchiveLogs *bool                `json:"archiveLogs,omitempty"`
	S3          *S3Artifact          `json:"s3,omitempty"`
	Git         *GitArtifact         `json:"git,omitempty"`
	HTTP        *HTTPArtifact        `json:"http,omitempty"`
	Artifactory *ArtifactoryArtifact `json:"artifactory,omitempty"`
	HDFS        *HDFSArtifact        `json:"hdfs,omitempty"`
	Raw         *RawArtifact         `json:"raw,omitempty"`
	OSS         *OSSArtifact         `json:"oss,omitempty"`
	GCS         *GCSArtifact         `json:"gcs,omitempty"`
	Azure       *AzureArtifact       `json:"azure,omitempty"`
	Plugin      *PluginArtifact      `json:"plugin,omitempty"`
}

// HasLocation says that a store is set.
func (l *ArtifactLocation) HasLocation() bool { return len(l.stores()) > 0 }

// stores lists the JSON names of the stores that are set.
func (l *ArtifactLocation) stores() []string {
	var out []string
	for _, f := range []struct {
		set  bool
		name string
	}{
		{l.S3 != nil, "s3"}, {l.Git != nil, "git"}, {l.HTTP != nil, "http"},
		{l.Artifactory != nil, "artifactory"}, {l.HDFS != nil, "hdfs"}, {l.Raw != nil, "raw"},
		{l.OSS != nil, "oss"}, {l.GCS != nil, "gcs"}, {l.Azure != nil, "azure"}, {l.Plugin != nil, "plugin"},
	} {
		if f.set {
			out = append(out, f.name)
		}
	}
	return out
}

// Below returns the location of a part of the artifact: what has its name below the
// artifact's own.
func (l ArtifactLocation) Below(subPath string) (ArtifactLocation, error) {
	subPath = strings.Trim(subPath, "/")
	switch {
	case l.S3 != nil:
		l.S3 = below(l.S3, func(a *S3Artifact) *string { return &a.Key }, subPath)
	case l.GCS != nil:
		l.GCS = below(l.GCS, func(a *GCSArtifact) *string { return &a.Key }, subPath)
	case l.Azure != nil:
		l.Azure = below(l.Azure, func(a *AzureArtifact) *string { return &a.Blob }, subPath)
	case l.OSS != nil:
		l.OSS = below(l.OSS, func(a *OSSArtifact) *string { return &a.Key }, subPath)
	case l.HDFS != nil:
		l.HDFS = below(l.HDFS, func(a *HDFSArtifact) *string { return &a.Path }, subPath)
	case l.HTTP != nil:
		l.HTTP = below(l.HTTP, func(a *HTTPArtifact) *string { return &a.URL }, subPath)
	case l.Artifactory != nil:
		l.Artifactory = below(l.Artifactory, func(a *ArtifactoryArtifact) *string { return &a.URL }, subPath)
	case l.Plugin != nil:
		l.Plugin = below(l.Plugin, func(a *PluginArtifact) *string { return &a.Key }, subPath)
	default:
		return l, fmt.Errorf("an artifact of %s has no parts to take subPath %q of", strings.Join(l.stores(), ", "), subPath)
	}
	return l, nil
}

// below copies a store's artifact with the subPath at the end of its key.
func below[T any](of *T, key func(*T) *string, subPath string) *T {
	part := *of
	k := key(&part)
	*k = strings.TrimRight(*k, "/") + "/" + subPath
	return &part
}

// ArchiveStrategy says how files are packed. At most one field is set; none means Tar.
type ArchiveStrategy struct {
	Tar  *TarStrategy  `json:"tar,omitempty"`
	None *NoneStrategy `json:"none,omitempty"`
	Zip  *ZipStrategy  `json:"zip,omitempty"`
}

// TarStrategy packs with tar and gzip.
type TarStrategy struct {
	CompressionLevel *int32 `json:"compressionLevel,omitempty"`
}

// NoneStrategy stores files as they are.
type NoneStrategy struct{}

// ZipStrategy packs with zip.
type ZipStrategy struct{}

// ArtifactGC says when an artifact is deleted, and as whom.
type ArtifactGC struct {
	Strategy           ArtifactGCStrategy `json:"strategy,omitempty"`
	PodMetadata        *Metadata          `json:"podMetadata,omitempty"`
	ServiceAccountName string             `json:"serviceAccountName,omitempty"`
}

// ArtifactGCStrategy is the event that deletes artifacts.
type ArtifactGCStrategy string

// The events that delete artifacts.
const (
	ArtifactGCOnWorkflowCompletion ArtifactGCStrategy = "OnWorkflowCompletion"
	ArtifactGCOnWorkflowDeletion   ArtifactGCStrategy = "OnWorkflowDeletion"
	ArtifactGCNever                ArtifactGCStrategy = "Never"
	ArtifactGCStrategyUndefined    ArtifactGCStrategy = ""
)

// WorkflowLevelArtifactGC is the ArtifactGC of all artifacts of a run.
type WorkflowLevelArtifactGC struct {
	ArtifactGC            `json:",inline"`
	ForceFinalizerRemoval bool   `json:"forceFinalizerRemoval,omitempty"`
	PodSpecPatch          string `json:"podSpecPatch,omitempty"`
}

// ArtifactRepositoryRef names the config map that describes the repository.
type ArtifactRepositoryRef struct {
	ConfigMap string `json:"configMap,omitempty"`
	Key       string `json:"key,omitempty"`
}

// ArtifactRepositoryRefStatus is the repository that a run uses.
type ArtifactRepositoryRefStatus struct {
	ArtifactRepositoryRef `json:",inline"`
	Namespace             string              `json:"namespace,omitempty"`
	Default               bool                `json:"default,omitempty"`
	ArtifactRepository    *ArtifactRepository `json:"artifactRepository,omitempty"`
}
