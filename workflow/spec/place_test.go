package spec

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAKeyAloneIsCompletedByAPlaceOfItsKind(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ place, key ArtifactLocation }{
		"s3":     {ArtifactLocation{S3: &S3Artifact{S3Bucket: S3Bucket{Bucket: "b", Endpoint: "e"}, Key: "p"}}, ArtifactLocation{S3: &S3Artifact{Key: "k"}}},
		"gcs":    {ArtifactLocation{GCS: &GCSArtifact{GCSBucket: GCSBucket{Bucket: "b"}, Key: "p"}}, ArtifactLocation{GCS: &GCSArtifact{Key: "k"}}},
		"azure":  {ArtifactLocation{Azure: &AzureArtifact{AzureBlobContainer: AzureBlobContainer{Container: "c", Endpoint: "e"}, Blob: "p"}}, ArtifactLocation{Azure: &AzureArtifact{Blob: "k"}}},
		"oss":    {ArtifactLocation{OSS: &OSSArtifact{OSSBucket: OSSBucket{Bucket: "b", Endpoint: "e"}, Key: "p"}}, ArtifactLocation{OSS: &OSSArtifact{Key: "k"}}},
		"plugin": {ArtifactLocation{Plugin: &PluginArtifact{Name: "n", Configuration: "c", Key: "p"}}, ArtifactLocation{Plugin: &PluginArtifact{Key: "k"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.True(t, c.place.Placed())
			require.False(t, c.key.Placed())
			placed := c.key.In(&c.place)
			require.True(t, placed.Placed())
			require.True(t, placed.SamePlace(&c.place))
			key, keyed := placed.Key()
			require.True(t, keyed)
			require.Equal(t, "k", key)
			before, _ := c.place.Key()
			require.Equal(t, "p", before, "the place's own key was written to")
			require.Equal(t, c.key, placed.Unplaced())
			require.Equal(t, c.place, c.place.In(&placed), "what has a place was moved")
			require.Equal(t, c.key, c.key.In(&ArtifactLocation{HTTP: &HTTPArtifact{URL: "http://x"}}))
		})
	}
	web := ArtifactLocation{HTTP: &HTTPArtifact{URL: "http://x"}}
	require.True(t, web.Placed())
	require.Equal(t, web, web.Unplaced())
	_, keyed := web.Key()
	require.False(t, keyed)
}

func TestARepositoryIsAPlaceWithAKeyFormat(t *testing.T) {
	t.Parallel()
	for want, r := range map[string]ArtifactRepository{
		"f":   {GCS: &GCSArtifactRepository{KeyFormat: "f"}},
		"d":   {GCS: &GCSArtifactRepository{}},
		"a":   {Azure: &AzureArtifactRepository{BlobNameFormat: "a"}},
		"o":   {OSS: &OSSArtifactRepository{KeyFormat: "o"}},
		"p":   {Plugin: &PluginArtifactRepository{KeyFormat: "p"}},
		"x/d": {S3: &S3ArtifactRepository{KeyPrefix: "x"}},
		"s":   {S3: &S3ArtifactRepository{KeyFormat: "s"}},
	} {
		key, _ := r.Location("d").Key()
		require.Equal(t, want, key)
	}
	require.Equal(t, "http://r/x/d", (&ArtifactRepository{Artifactory: &ArtifactoryArtifactRepository{RepoURL: "http://r/x/"}}).Location("d").Artifactory.URL)
	require.Nil(t, (&ArtifactRepository{}).Location("d"))
}
