package artifacts_test

import (
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"argosy/artifacts"
)

func TestWhatMayPassIsToldFromWhatWillNot(t *testing.T) {
	t.Parallel()
	answer := func(status int, code string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			if r.Method != http.MethodHead {
				_, _ = io.WriteString(w, `<?xml version="1.0"?><Error><Code>`+code+`</Code><Message>so it is</Message></Error>`)
			}
		}
	}
	cut := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		w.Header().Set("Last-Modified", "Wed, 18 Nov 2026 10:00:00 GMT")
		_, _ = io.WriteString(w, "the beginning")
	}
	for name, tt := range map[string]struct {
		handler  http.HandlerFunc
		endpoint string // in place of a handler's
		secure   bool
		away     bool
	}{
		"nobody listens":        {endpoint: "127.0.0.1:1", away: true},
		"it starts or stops":    {handler: answer(http.StatusServiceUnavailable, "XMinioServerNotInitialized"), away: true},
		"it is overloaded":      {handler: answer(http.StatusServiceUnavailable, "SlowDown"), away: true},
		"too many requests":     {handler: answer(http.StatusTooManyRequests, "TooManyRequests"), away: true},
		"it breaks off":         {handler: cut, away: true},
		"access is denied":      {handler: answer(http.StatusForbidden, "AccessDenied")},
		"the key is wrong":      {handler: answer(http.StatusForbidden, "SignatureDoesNotMatch")},
		"there is no bucket":    {handler: answer(http.StatusNotFound, "NoSuchBucket")},
		"it cannot do that":     {handler: answer(http.StatusNotImplemented, "NotImplemented")},
		"there is no host":      {endpoint: "no-such-host.invalid:80"},
		"it does not do TLS":    {handler: answer(http.StatusOK, ""), secure: true},
		"nobody vouches for it": {endpoint: "", secure: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			endpoint := tt.endpoint
			switch {
			case tt.handler != nil:
				server := httptest.NewServer(tt.handler)
				t.Cleanup(server.Close)
				endpoint = strings.TrimPrefix(server.URL, "http://")
			case endpoint == "": // a certificate that nobody trusts
				server := httptest.NewUnstartedServer(answer(http.StatusOK, ""))
				server.Config.ErrorLog = log.New(io.Discard, "", 0)
				server.StartTLS()
				t.Cleanup(server.Close)
				endpoint = strings.TrimPrefix(server.URL, "https://")
			}
			s, err := artifacts.NewS3(artifacts.S3Config{Endpoint: endpoint, Insecure: !tt.secure, Bucket: "bucket", AccessKey: "key", SecretKey: "secret"})
			require.NoError(t, err)
			_, err = readAll(t, s)
			require.Error(t, err)
			require.Equal(t, tt.away, errors.Is(err, artifacts.ErrAway), "%v", err)
			if tt.endpoint != "" {
				err = s.Put(t.Context(), "key", strings.NewReader("content"), -1)
				require.Equal(t, tt.away, errors.Is(err, artifacts.ErrAway), "%v", err)
			}
		})
	}
}

func readAll(t *testing.T, s artifacts.Store) ([]byte, error) {
	r, err := s.Get(t.Context(), "key")
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func TestAnUploadThatCannotBeReadIsNotTheStoresTrouble(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	t.Cleanup(server.Close)
	s, err := artifacts.NewS3(artifacts.S3Config{
		Endpoint: strings.TrimPrefix(server.URL, "http://"), Insecure: true, Bucket: "bucket", AccessKey: "key", SecretKey: "secret",
	})
	require.NoError(t, err)
	broken := io.MultiReader(strings.NewReader(strings.Repeat("x", 3<<20)), iotest.ErrReader(io.ErrUnexpectedEOF))
	err = s.Put(t.Context(), "key", broken, 4<<20)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.NotErrorIs(t, err, artifacts.ErrAway)
}
