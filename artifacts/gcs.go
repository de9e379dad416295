package artifacts

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
)

const (
	gcsEndpoint = "https://storage.googleapis.com"
	gcsScope    = "https://www.googleapis.com/auth/devstorage.read_write"
)

// GCSConfig says where a bucket of Google Cloud Storage is.
type GCSConfig struct {
	Bucket string
	// Key is that of a service account, as JSON. Without it nobody in particular asks.
	Key []byte
	// OwnIdentity: without a key it is the identity that this process has in its cloud.
	OwnIdentity bool
	Endpoint    string // of the API; Google's if empty
	Transport   http.RoundTripper
}

// GCS is a Store in a bucket of Google Cloud Storage. It speaks the JSON API itself: that is five
// calls, where Google's own client brings gRPC, xDS and OpenTelemetry into every worker.
type GCS struct {
	client   *http.Client
	endpoint string
	bucket   string
}

// NewGCS makes a client; it does not yet talk to the server.
func NewGCS(cfg GCSConfig) (*GCS, error) {
	if cfg.Bucket == "" {
		return nil, errors.New("opening the artifact bucket: it has no name")
	}
	base := &http.Client{Transport: cfg.Transport}
	s := &GCS{client: base, endpoint: cmp.Or(cfg.Endpoint, gcsEndpoint), bucket: cfg.Bucket}
	// A token is asked for when it is first needed, by whichever request that is.
	ctx := context.WithValue(context.Background(), oauth2.HTTPClient, &http.Client{Transport: cfg.Transport, Timeout: 30 * time.Second})
	switch {
	case len(cfg.Key) > 0:
		// Other kinds of credentials name files and programs of this machine.
		account, err := google.JWTConfigFromJSON(cfg.Key, gcsScope)
		if err != nil {
			return nil, fmt.Errorf("opening the artifact bucket %s: reading the key of the service account: %w", cfg.Bucket, err)
		}
		s.client = &http.Client{Transport: &oauth2.Transport{Source: account.TokenSource(ctx), Base: cfg.Transport}}
	case cfg.OwnIdentity:
		ctx := context.WithValue(context.Background(), oauth2.HTTPClient, identityClient())
		own, err := google.FindDefaultCredentials(ctx, gcsScope)
		if err != nil {
			return nil, fmt.Errorf("opening the artifact bucket %s: %w", cfg.Bucket, err)
		}
		s.client = &http.Client{Transport: &oauth2.Transport{Source: own.TokenSource, Base: cfg.Transport}}
	}
	return s, nil
}

// object is the address of an object, or of all with an empty key.
func (s *GCS) object(key string, query url.Values) string {
	u := s.endpoint + "/storage/v1/b/" + url.PathEscape(s.bucket) + "/o"
	if key != "" {
		u += "/" + url.PathEscape(key)
	}
	return u + "?" + query.Encode()
}

func (s *GCS) do(ctx context.Context, method, address string, body io.Reader) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/octet-stream")
	}
	answer, err := s.client.Do(r)
	if err != nil {
		if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok && refused.Response.StatusCode < http.StatusInternalServerError {
			return nil, fmt.Errorf("signing in: %w", err)
		}
		return nil, away(ctx, err)
	}
	if answer.StatusCode < http.StatusMultipleChoices {
		return answer, nil
	}
	defer answer.Body.Close()
	var told struct {
		Error struct{ Message string }
	}
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
	_ = json.Unmarshal(text, &told) // not all that answers is Google's
	err = fmt.Errorf("it answered %s: %s", answer.Status, cmp.Or(told.Error.Message, strings.TrimSpace(string(text[:min(len(text), 200)]))))
	return nil, answered(answer.StatusCode, err)
}

// Put implements Store. An object is there when its stream has ended well, and not before.
func (s *GCS) Put(ctx context.Context, key string, r io.Reader, size int64) error {
	if err := checkKey(key); err != nil {
		return err
	}
	return put(ctx, key, r, size, func(from *upload) error { return s.put(ctx, key, from) })
}

func (s *GCS) put(ctx context.Context, key string, from *upload) error {
	whole, rest, err := from.ahead()
	if err != nil {
		return err
	}
	body := rest
	if whole != nil {
		body = whole
	}
	to := s.endpoint + "/upload/storage/v1/b/" + url.PathEscape(s.bucket) + "/o?" + url.Values{"uploadType": {"media"}, "name": {key}}.Encode()
	answer, err := s.do(ctx, http.MethodPost, to, body)
	if err != nil {
		return err
	}
	return answer.Body.Close()
}

// Get implements Store.
func (s *GCS) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	answer, err := s.do(ctx, http.MethodGet, s.object(key, url.Values{"alt": {"media"}}), nil) //nolint:bodyclose // whoever reads it closes it
	if err != nil {
		return nil, fmt.Errorf("getting %s: %w", key, err)
	}
	return body{answer.Body, ctx}, nil
}

// gcsObject is what the API says of an object.
type gcsObject struct {
	Name    string
	Size    string
	Updated time.Time
}

func (o *gcsObject) object() (Object, error) {
	size, err := strconv.ParseInt(o.Size, 10, 64)
	return Object{Key: o.Name, Size: size, ModTime: o.Updated}, err
}

func (s *GCS) read(ctx context.Context, address string, into any) error {
	answer, err := s.do(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	return json.NewDecoder(body{answer.Body, ctx}).Decode(into)
}

// Stat implements Store.
func (s *GCS) Stat(ctx context.Context, key string) (Object, error) {
	if err := checkKey(key); err != nil {
		return Object{}, err
	}
	var found gcsObject
	err := s.read(ctx, s.object(key, url.Values{"fields": {"name,size,updated"}}), &found)
	if err == nil {
		var o Object
		if o, err = found.object(); err == nil {
			return o, nil
		}
	}
	return Object{}, fmt.Errorf("looking at %s: %w", key, err)
}

// List implements Store.
func (s *GCS) List(ctx context.Context, prefix string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		if _, ok := directory(prefix); !ok {
			return
		}
		query := url.Values{"prefix": {prefix}, "maxResults": {"1000"}, "fields": {"nextPageToken,items(name,size,updated)"}}
		for {
			var page struct {
				NextPageToken string
				Items         []gcsObject
			}
			err := s.read(ctx, s.object("", query), &page)
			if errors.Is(err, ErrNotFound) { // the bucket
				return
			}
			for i := 0; err == nil && i < len(page.Items); i++ {
				var o Object
				if o, err = page.Items[i].object(); err == nil && !yield(o, nil) {
					return
				}
			}
			if err != nil {
				yield(Object{}, fmt.Errorf("listing %s: %w", prefix, err))
				return
			}
			if page.NextPageToken == "" {
				return
			}
			query.Set("pageToken", page.NextPageToken)
		}
	}
}

// Delete implements Store.
func (s *GCS) Delete(ctx context.Context, key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	answer, err := s.do(ctx, http.MethodDelete, s.object(key, nil), nil)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil
	case err != nil:
		return fmt.Errorf("deleting %s: %w", key, err)
	}
	return answer.Body.Close()
}
