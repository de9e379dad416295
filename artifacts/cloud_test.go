package artifacts_test

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"argosy/artifacts"
	"argosy/artifacts/artifactstest"
)

func TestGCSPassesTheSuite(t *testing.T) {
	server := artifactstest.StartGCS(t)
	artifactstest.RunInMemory(t, func(t *testing.T) artifacts.Store {
		s, err := artifacts.NewGCS(server.Bucket())
		require.NoError(t, err)
		return s
	})
	require.Empty(t, server.Denied())
}

func TestAzurePassesTheSuite(t *testing.T) {
	server := artifactstest.StartAzure(t)
	artifactstest.RunInMemory(t, func(t *testing.T) artifacts.Store {
		s, err := artifacts.NewAzure(server.Container())
		require.NoError(t, err)
		return s
	})
	require.Empty(t, server.Denied())
}

func TestAzureIsReachedAsWhoTheWorkerIs(t *testing.T) {
	server := artifactstest.StartAzure(t)
	cfg := server.AsWorker(t)
	s, err := artifacts.NewAzure(cfg)
	require.NoError(t, err)
	require.NoError(t, s.Put(t.Context(), "k", strings.NewReader("x"), 1))
	o, err := s.Stat(t.Context(), "k")
	require.NoError(t, err)
	require.EqualValues(t, 1, o.Size)
	require.Empty(t, server.Denied())

	elsewhere := cfg
	elsewhere.TrustedHosts = nil
	_, err = artifacts.NewAzure(elsewhere)
	require.ErrorContains(t, err, "127.0.0.1 is none of Azure's hosts", "the token would be somebody else's")
	elsewhere.Endpoint = "https://blob.core.windows.net.example.com"
	_, err = artifacts.NewAzure(elsewhere)
	require.ErrorContains(t, err, "none of Azure's hosts")
	elsewhere.Endpoint = "https://account.blob.core.windows.net"
	_, err = artifacts.NewAzure(elsewhere)
	require.NoError(t, err)

	t.Setenv("AZURE_CLIENT_SECRET", "another")
	s, err = artifacts.NewAzure(cfg)
	require.NoError(t, err)
	_, err = s.Stat(t.Context(), "k")
	require.ErrorContains(t, err, "signing in")
	require.NotErrorIs(t, err, artifacts.ErrAway)
}

func TestGCSTakesWhatIsLongerThanAChunk(t *testing.T) {
	t.Parallel()
	server := artifactstest.StartGCS(t)
	s, err := artifacts.NewGCS(server.Bucket())
	require.NoError(t, err)
	text := strings.Repeat("0123456789abcdef", 20<<20/16)
	require.NoError(t, s.Put(t.Context(), "long", strings.NewReader(text), -1))
	r, err := s.Get(t.Context(), "long")
	require.NoError(t, err)
	defer r.Close()
	got, err := io.ReadAll(r)
	require.NoError(t, err)
	require.True(t, text == string(got), "what came back is not what went there")
}

func TestOSSPassesTheSuite(t *testing.T) {
	server := artifactstest.StartOSS(t)
	artifactstest.RunInMemory(t, func(t *testing.T) artifacts.Store {
		s, err := artifacts.NewOSS(server.Bucket())
		require.NoError(t, err)
		return s
	})
	require.Empty(t, server.Denied())
	require.Zero(t, server.UnderWay(), "uploads were left half done")
}

func TestCloudsRefuseWhoHasAnotherKey(t *testing.T) {
	t.Parallel()
	gcs, otherGCS, azure, oss := artifactstest.StartGCS(t), artifactstest.StartGCS(t), artifactstest.StartAzure(t), artifactstest.StartOSS(t)
	atGCS, atAzure, atOSS := gcs.Bucket(), azure.Container(), oss.Bucket()
	atGCS.Key = []byte(strings.ReplaceAll(string(otherGCS.Key()), otherGCS.URL(), gcs.URL()))
	atAzure.Key, atOSS.SecretKey = "c29tZSBvdGhlciBrZXk=", "another"
	anonymous := gcs.Bucket()
	anonymous.Key = nil
	for name, open := range map[string]func() (artifacts.Store, error){
		"gcs":     func() (artifacts.Store, error) { return artifacts.NewGCS(atGCS) },
		"nobody":  func() (artifacts.Store, error) { return artifacts.NewGCS(anonymous) },
		"azure":   func() (artifacts.Store, error) { return artifacts.NewAzure(atAzure) },
		"alibaba": func() (artifacts.Store, error) { return artifacts.NewOSS(atOSS) },
	} {
		s, err := open()
		require.NoError(t, err, name)
		err = s.Put(t.Context(), "k", strings.NewReader("x"), 1)
		require.Error(t, err, name)
		require.NotErrorIs(t, err, artifacts.ErrAway, name)
		_, err = s.Get(t.Context(), "k")
		require.Error(t, err, name)
		require.NotErrorIs(t, err, artifacts.ErrNotFound, name)
	}
}

func TestCloudsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	for want, open := range map[string]func() error{
		"it has no name": func() error { _, err := artifacts.NewGCS(artifacts.GCSConfig{}); return err },
		"reading the key": func() error {
			_, err := artifacts.NewGCS(artifacts.GCSConfig{Bucket: "b", Key: []byte(`{"type":"external_account"}`)})
			return err
		},
		"is no URL": func() error { _, err := artifacts.NewAzure(artifacts.AzureConfig{Container: "c"}); return err },
		"illegal base64": func() error {
			_, err := artifacts.NewAzure(artifacts.AzureConfig{Container: "c", Endpoint: "https://a.blob.core.windows.net", Key: "-"})
			return err
		},
		"an endpoint and a name": func() error { _, err := artifacts.NewOSS(artifacts.OSSConfig{Bucket: "b"}); return err },
		"must be less than markD": func() error {
			_, err := artifacts.NewOSS(artifacts.OSSConfig{Bucket: "b", Endpoint: "e", InfrequentAfter: 3, DeleteAfter: 2})
			return err
		},
	} {
		require.ErrorContains(t, open(), want)
	}
}

func TestCloudsThatDoNotAnswerAreAway(t *testing.T) {
	t.Parallel()
	const nobody = "http://127.0.0.1:1"
	gcs, err := artifacts.NewGCS(artifacts.GCSConfig{Bucket: "b", Endpoint: nobody})
	require.NoError(t, err)
	azure, err := artifacts.NewAzure(artifacts.AzureConfig{Container: "c", Endpoint: nobody})
	require.NoError(t, err)
	oss, err := artifacts.NewOSS(artifacts.OSSConfig{Bucket: "bucket", Endpoint: nobody})
	require.NoError(t, err)
	for _, s := range []artifacts.Store{gcs, azure, oss} {
		_, err := s.Get(t.Context(), "k")
		require.ErrorIs(t, err, artifacts.ErrAway, "%T", s)
		broken := io.MultiReader(strings.NewReader(strings.Repeat("x", 2<<20)), iotest.ErrReader(io.ErrClosedPipe))
		require.Error(t, s.Put(t.Context(), "k", broken, -1), "%T", s)
	}
}

func TestOSSSaysHowObjectsAge(t *testing.T) {
	t.Parallel()
	server := artifactstest.StartOSS(t)
	cfg := server.Bucket()
	cfg.InfrequentAfter, cfg.DeleteAfter = 10, 30
	s, err := artifacts.NewOSS(cfg)
	require.NoError(t, err)
	require.NoError(t, s.Put(t.Context(), "k", strings.NewReader("x"), 1))
	require.Regexp(t, `(?s)<Days>10</Days>.*<StorageClass>IA</StorageClass>|<StorageClass>IA</StorageClass>.*<Days>10</Days>`, server.Rule(cfg.Bucket))
	require.Regexp(t, `(?s)<Expiration>.*<Days>30</Days>.*</Expiration>`, server.Rule(cfg.Bucket))
}
