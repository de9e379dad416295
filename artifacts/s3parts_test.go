package artifacts_test

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/artifacts"
	"argosy/artifacts/artifactstest"
)

// sendPart puts a part that was signed for one content, which may be another.
func sendPart(t *testing.T, s *artifacts.S3, key, upload string, number int, signed, sent string, ttl time.Duration) (status int, etag string) {
	t.Helper()
	sum := md5.Sum([]byte(signed))
	to, err := s.PresignPart(t.Context(), key, upload, number, sum[:], ttl)
	require.NoError(t, err)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, to.String(), strings.NewReader(sent))
	require.NoError(t, err)
	own := md5.Sum([]byte(sent))
	for _, sum := range [][16]byte{sum, own} { // whatever it says of itself
		req.Header.Set("Content-Md5", base64.StdEncoding.EncodeToString(sum[:]))
		req.Body = io.NopCloser(strings.NewReader(sent))
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		if status, etag = resp.StatusCode, resp.Header.Get("ETag"); status == http.StatusOK {
			break
		}
	}
	return status, etag
}

func TestPartsBecomeAnObjectWhenTheyAreCompleted(t *testing.T) {
	t.Parallel()
	server := artifactstest.StartMinIO(t)
	for name, how := range map[string]artifacts.S3Encryption{
		"plain":     {},
		"encrypted": {Enabled: true, KMSKey: artifactstest.KMSKey},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := server.Bucket()
			cfg.Encryption = how
			s, err := artifacts.NewS3(cfg)
			require.NoError(t, err)
			const key = "a b/object"
			first, last := strings.Repeat("x", 5<<20), "the end"
			require.NoError(t, s.Put(t.Context(), key, strings.NewReader("the winner's"), -1))

			upload, err := s.StartParts(t.Context(), key)
			require.NoError(t, err)
			status, _ := sendPart(t, s, key, upload, 1, first, "something else", time.Minute)
			require.NotEqual(t, http.StatusOK, status, "an address is for one content")
			status, one := sendPart(t, s, key, upload, 1, first, first, time.Minute)
			require.Equal(t, http.StatusOK, status)
			status, two := sendPart(t, s, key, upload, 2, last, last, time.Minute)
			require.Equal(t, http.StatusOK, status)
			require.Error(t, s.CompleteParts(t.Context(), "another", upload, []string{one, two}), "an upload is of one object")
			require.Equal(t, "the winner's", content(t, s, key), "nothing of it is there before")
			require.NoError(t, s.CompleteParts(t.Context(), key, upload, []string{one, two}))
			require.True(t, content(t, s, key) == first+last)
			require.NoError(t, s.CompleteParts(t.Context(), key, upload, []string{one, two}), "its answer may have been lost")
			require.Error(t, s.CompleteParts(t.Context(), key, upload, []string{two, one}))

			upload, err = s.StartParts(t.Context(), key)
			require.NoError(t, err)
			status, _ = sendPart(t, s, key, upload, 1, first, first, time.Minute)
			require.Equal(t, http.StatusOK, status)
			require.NoError(t, s.AbortParts(t.Context(), key, upload))
			require.NoError(t, s.AbortParts(t.Context(), key, upload))
			status, _ = sendPart(t, s, key, upload, 2, last, last, time.Minute)
			require.NotEqual(t, http.StatusOK, status)
			for left := range asIs(t, cfg).ListIncompleteUploads(t.Context(), cfg.Bucket, key, true) {
				t.Errorf("left: %+v", left)
			}
			require.True(t, content(t, s, key) == first+last)
		})
	}
}

func TestStoresThatOnlyTheirClientCanWriteTakeNoParts(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]artifacts.S3Config{
		"a customer's key": {Encryption: artifacts.S3Encryption{Enabled: true, CustomerKey: "secret"}, AccessKey: "k", SecretKey: "s"},
		"nobody":           {},
	} {
		cfg.Endpoint, cfg.Bucket = "localhost:1", "b"
		s, err := artifacts.NewS3(cfg)
		require.NoError(t, err)
		_, err = s.StartParts(t.Context(), "key")
		require.ErrorIs(t, err, artifacts.ErrNoParts, name)
	}
}

func content(t *testing.T, s artifacts.Store, key string) string {
	t.Helper()
	r, err := s.Get(t.Context(), key)
	require.NoError(t, err)
	defer r.Close()
	var b bytes.Buffer
	_, err = b.ReadFrom(r)
	require.NoError(t, err)
	return b.String()
}

func TestABucketThatIsMadeForgetsPartsOfNoObject(t *testing.T) {
	t.Parallel()
	for name, refusal := range map[string]int{"as asked": http.StatusOK, "refused": http.StatusBadRequest, "unknown": http.StatusNotImplemented} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked []string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				switch {
				case r.Method == http.MethodHead:
					w.WriteHeader(http.StatusNotFound)
				case r.URL.Query().Has("lifecycle"):
					asked = append(asked, string(body))
					w.WriteHeader(refusal)
				}
			}))
			t.Cleanup(server.Close)
			s, err := artifacts.NewS3(artifacts.S3Config{Endpoint: server.Listener.Addr().String(), Bucket: "new", Insecure: true, AccessKey: "k", SecretKey: "s"})
			require.NoError(t, err)
			require.NoError(t, s.EnsureBucket(t.Context()))
			require.Len(t, asked, 1)
			require.Contains(t, asked[0], "<AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload>")
			require.Contains(t, asked[0], "<Status>Enabled</Status>")
		})
	}
}
