package artifacts_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/stretchr/testify/require"

	"argosy/artifacts"
	"argosy/artifacts/artifactstest"
)

// asIs is a client that knows nothing of how a bucket is meant to be used.
func asIs(t *testing.T, cfg artifacts.S3Config) *minio.Client {
	t.Helper()
	c, err := minio.New(cfg.Endpoint, &minio.Options{
		Creds: credentials.NewStaticV4(cfg.AccessKey, cfg.SecretKey, ""), Secure: !cfg.Insecure, Transport: cfg.Transport, Region: "us-east-1",
	})
	require.NoError(t, err)
	return c
}

func putAndGet(t *testing.T, cfg artifacts.S3Config, key string, size int) {
	t.Helper()
	s, err := artifacts.NewS3(cfg)
	require.NoError(t, err)
	content := strings.Repeat("x", size)
	require.NoError(t, s.Put(t.Context(), key, strings.NewReader(content), -1))
	o, err := s.Stat(t.Context(), key)
	require.NoError(t, err)
	require.EqualValues(t, size, o.Size)
	r, err := s.Get(t.Context(), key)
	require.NoError(t, err)
	got, err := io.ReadAll(r)
	require.NoError(t, err)
	require.NoError(t, r.Close())
	require.Equal(t, content, string(got))
	for o, err := range s.List(t.Context(), key) {
		require.NoError(t, err)
		require.Equal(t, key, o.Key)
	}
	require.NoError(t, s.Delete(t.Context(), key))
	_, err = s.Stat(t.Context(), key)
	require.ErrorIs(t, err, artifacts.ErrNotFound)
	require.NoError(t, s.Put(t.Context(), key, strings.NewReader("kept"), 4))
}

func TestS3EncryptsAsItIsAsked(t *testing.T) {
	t.Parallel()
	server := artifactstest.StartSecureMinIO(t)
	for name, c := range map[string]struct {
		how    artifacts.S3Encryption
		header map[string]string // of an object
		bucket string            // rule
		closed bool              // to whom does not have the key
	}{
		"not":                {},
		"not enabled":        {how: artifacts.S3Encryption{KMSKey: artifactstest.KMSKey}},
		"the server's keys":  {how: artifacts.S3Encryption{Enabled: true}, header: map[string]string{"X-Amz-Server-Side-Encryption": "AES256"}, bucket: "AES256"},
		"a customer's key":   {how: artifacts.S3Encryption{Enabled: true, CustomerKey: "secret"}, closed: true},
		"a key of KMS":       {how: artifacts.S3Encryption{Enabled: true, KMSKey: artifactstest.KMSKey}, header: map[string]string{"X-Amz-Server-Side-Encryption": "aws:kms"}, bucket: "aws:kms"},
		"KMS with a context": {how: artifacts.S3Encryption{Enabled: true, KMSKey: artifactstest.KMSKey, KMSContext: `{"for": "tests"}`}, header: map[string]string{"X-Amz-Server-Side-Encryption": "aws:kms"}, bucket: "aws:kms"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := server.Bucket()
			cfg.Encryption = c.how
			putAndGet(t, cfg, "large", 17<<20)
			putAndGet(t, cfg, "a/small one", 10)
			client := asIs(t, cfg)
			info, err := client.StatObject(t.Context(), cfg.Bucket, "a/small one", minio.StatObjectOptions{})
			if c.closed {
				require.Equal(t, http.StatusBadRequest, minio.ToErrorResponse(err).StatusCode, "%v", err)
				other := cfg
				other.Encryption.CustomerKey = "another"
				s, err := artifacts.NewS3(other)
				require.NoError(t, err)
				_, err = s.Get(t.Context(), "a/small one")
				require.Error(t, err)
				require.NotErrorIs(t, err, artifacts.ErrNotFound)
				return
			}
			require.NoError(t, err)
			for k, v := range c.header {
				require.Equal(t, v, info.Metadata.Get(k))
			}
			rule, err := client.GetBucketEncryption(t.Context(), cfg.Bucket)
			if c.bucket == "" {
				require.Error(t, err, "the bucket encrypts")
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.bucket, rule.Rules[0].Apply.SSEAlgorithm)
		})
	}
}

func TestS3RefusesEncryptionThatCannotBe(t *testing.T) {
	t.Parallel()
	for want, how := range map[string]artifacts.S3Encryption{
		"https only":              {CustomerKey: "k"},
		"cannot be set together":  {CustomerKey: "k", KMSKey: "k"},
		"not a JSON object":       {KMSKey: "k", KMSContext: "x"},
		"opening the artifact bu": {KMSKey: "k", KMSContext: `["x"]`},
	} {
		_, err := artifacts.NewS3(artifacts.S3Config{Endpoint: "localhost:1", Bucket: "b", Insecure: true, Encryption: how})
		require.ErrorContains(t, err, want)
	}
}

func TestS3MakesABucketWhoseObjectsCanBeLocked(t *testing.T) {
	t.Parallel()
	cfg := artifactstest.StartMinIO(t).Bucket()
	cfg.ObjectLocking = true
	putAndGet(t, cfg, "k", 17<<20)
	enabled, _, _, _, err := asIs(t, cfg).GetObjectLockConfig(t.Context(), cfg.Bucket)
	require.NoError(t, err)
	require.Equal(t, "Enabled", enabled)
}

// It is not parallel: the identity is that of the process.
func TestS3IsReachedAsTheProcessItself(t *testing.T) {
	server := artifactstest.StartMinIO(t)
	keyed := server.Bucket()
	as := func(change func(*artifacts.S3Config)) artifacts.S3Config {
		cfg := server.Bucket()
		cfg.AccessKey, cfg.SecretKey, cfg.OwnIdentity = "", "", true
		change(&cfg)
		return cfg
	}
	for _, name := range []string{"AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_ACCESS_KEY_ID", keyed.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", keyed.SecretKey)
	putAndGet(t, as(func(*artifacts.S3Config) {}), "k", 10)

	nobody := as(func(cfg *artifacts.S3Config) { cfg.OwnIdentity = false })
	s, err := artifacts.NewS3(nobody)
	require.NoError(t, err)
	require.Error(t, s.Put(t.Context(), "k", strings.NewReader(""), 0), "nobody was lent an identity")

	// The role's keys are the server's; those of the process are good for asking for them only.
	t.Setenv("AWS_ACCESS_KEY_ID", "who-asks")
	asked := make(chan string, 10)
	sts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.FormValue("Action") + " " + r.FormValue("RoleArn") + " " + r.Header.Get("Authorization")
		fmt.Fprintf(w, `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials><AccessKeyId>%s</AccessKeyId><SecretAccessKey>%s</SecretAccessKey><Expiration>%s</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`,
			keyed.AccessKey, keyed.SecretKey, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	}))
	t.Cleanup(sts.Close)
	t.Setenv("AWS_ENDPOINT_URL_STS", sts.URL)
	putAndGet(t, as(func(cfg *artifacts.S3Config) { cfg.RoleARN = "arn:aws:iam::1:role/stores" }), "k", 10)
	got := <-asked
	require.True(t, strings.HasPrefix(got, "AssumeRole arn:aws:iam::1:role/stores AWS4-HMAC-SHA256 Credential=who-asks/"), got)
	require.Empty(t, asked, "the role was assumed anew for each request")
}
