package spec

import "reflect"

// A location is a place, such as a bucket and how to reach it, and a key there. Where it has a
// key alone, another location, a template's or the run's repository, has the place.

// keyIn is the key of the store that is set; nil: it has no keys, as a URL has none.
func (l *ArtifactLocation) keyIn() *string {
	switch {
	case l.S3 != nil:
		return &l.S3.Key
	case l.GCS != nil:
		return &l.GCS.Key
	case l.Azure != nil:
		return &l.Azure.Blob
	case l.OSS != nil:
		return &l.OSS.Key
	case l.HDFS != nil:
		return &l.HDFS.Path
	case l.Plugin != nil:
		return &l.Plugin.Key
	}
	return nil
}

// Key is the key of a location whose store has keys.
func (l *ArtifactLocation) Key() (key string, keyed bool) {
	if k := l.keyIn(); k != nil {
		return *k, true
	}
	return "", false
}

// WithKey is the place of the location with another key, if it has keys.
func (l ArtifactLocation) WithKey(key string) ArtifactLocation {
	l.S3, l.GCS, l.Azure, l.OSS, l.HDFS, l.Plugin = clone(l.S3), clone(l.GCS), clone(l.Azure), clone(l.OSS), clone(l.HDFS), clone(l.Plugin)
	if k := l.keyIn(); k != nil {
		*k = key
	}
	return l
}

func clone[T any](of *T) *T {
	if of == nil {
		return nil
	}
	copied := *of
	return &copied
}

// Placed says that the location has a place, not a key alone.
func (l *ArtifactLocation) Placed() bool {
	switch {
	case l.S3 != nil:
		return l.S3.Bucket != "" || l.S3.Endpoint != ""
	case l.GCS != nil:
		return l.GCS.Bucket != ""
	case l.Azure != nil:
		return l.Azure.Container != "" || l.Azure.Endpoint != ""
	case l.OSS != nil:
		return l.OSS.Bucket != "" || l.OSS.Endpoint != ""
	case l.HDFS != nil:
		return len(l.HDFS.Addresses) > 0
	case l.Plugin != nil:
		return l.Plugin.Name != ""
	}
	return l.HasLocation()
}

// Unplaced is the key of the location alone, for whoever knows the place.
func (l ArtifactLocation) Unplaced() ArtifactLocation {
	key, keyed := l.Key()
	if !keyed {
		return l
	}
	out := ArtifactLocation{ArchiveLogs: l.ArchiveLogs}
	switch {
	case l.S3 != nil:
		out.S3 = &S3Artifact{}
	case l.GCS != nil:
		out.GCS = &GCSArtifact{}
	case l.Azure != nil:
		out.Azure = &AzureArtifact{}
	case l.OSS != nil:
		out.OSS = &OSSArtifact{}
	case l.HDFS != nil:
		out.HDFS = &HDFSArtifact{}
	case l.Plugin != nil:
		out.Plugin = &PluginArtifact{}
	}
	*out.keyIn() = key
	return out
}

// In completes a location that is a key alone by the place of another in the same kind of store.
func (l ArtifactLocation) In(place *ArtifactLocation) ArtifactLocation {
	key, keyed := l.Key()
	if place == nil || !keyed || l.Placed() || !reflect.DeepEqual(l.stores(), place.stores()) {
		return l
	}
	out := place.WithKey(key)
	out.ArchiveLogs = l.ArchiveLogs
	return out
}

// SamePlace says that two locations differ at most in their keys.
func (l *ArtifactLocation) SamePlace(other *ArtifactLocation) bool {
	a, b := l.WithKey(""), other.WithKey("")
	a.ArchiveLogs, b.ArchiveLogs = nil, nil
	return reflect.DeepEqual(a, b)
}
