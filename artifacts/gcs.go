package artifacts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"
	"google.golang.org/api/storage/v1"
)

// gcsChunk is the memory that an upload takes, and what is sent again of one that breaks.
const gcsChunk = 8 << 20

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

// GCS is a Store in a bucket of Google Cloud Storage.
type GCS struct {
	objects *storage.ObjectsService
	bucket  string
}

// NewGCS makes a client; it does not yet talk to the server.
func NewGCS(cfg GCSConfig) (*GCS, error) {
	if cfg.Bucket == "" {
		return nil, errors.New("opening the artifact bucket: it has no name")
	}
	client := &http.Client{Transport: cfg.Transport}
	// A token is asked for when it is first needed, by whichever request that is.
	ctx := context.WithValue(context.Background(), oauth2.HTTPClient, &http.Client{Transport: cfg.Transport, Timeout: 30 * time.Second})
	switch {
	case len(cfg.Key) > 0:
		// Other kinds of credentials name files and programs of this machine.
		account, err := google.JWTConfigFromJSON(cfg.Key, storage.DevstorageReadWriteScope)
		if err != nil {
			return nil, fmt.Errorf("opening the artifact bucket %s: reading the key of the service account: %w", cfg.Bucket, err)
		}
		client.Transport = &oauth2.Transport{Source: account.TokenSource(ctx), Base: cfg.Transport}
	case cfg.OwnIdentity:
		ctx := context.WithValue(context.Background(), oauth2.HTTPClient, identityClient())
		own, err := google.FindDefaultCredentials(ctx, storage.DevstorageReadWriteScope)
		if err != nil {
			return nil, fmt.Errorf("opening the artifact bucket %s: %w", cfg.Bucket, err)
		}
		client.Transport = &oauth2.Transport{Source: own.TokenSource, Base: cfg.Transport}
	}
	options := []option.ClientOption{option.WithHTTPClient(client)}
	if cfg.Endpoint != "" {
		options = append(options, option.WithEndpoint(cfg.Endpoint+"/storage/v1/"))
	}
	service, err := storage.NewService(context.Background(), options...)
	if err != nil {
		return nil, fmt.Errorf("opening the artifact bucket %s: %w", cfg.Bucket, err)
	}
	return &GCS{service.Objects, cfg.Bucket}, nil
}

// gcsError says what a store has to know of an error.
func gcsError(ctx context.Context, err error) error {
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok && refused.Response.StatusCode < http.StatusInternalServerError {
		return fmt.Errorf("signing in: %w", err)
	}
	if answer, ok := errors.AsType[*googleapi.Error](err); ok {
		return answered(answer.Code, err)
	}
	return away(ctx, err)
}

// Put implements Store. An object is there when its stream has ended well, and not before.
func (s *GCS) Put(ctx context.Context, key string, r io.Reader, size int64) error {
	if err := checkKey(key); err != nil {
		return err
	}
	return put(ctx, key, r, size, func(from *upload) error {
		object := &storage.Object{Name: key, ContentType: "application/octet-stream"}
		_, err := s.objects.Insert(s.bucket, object).Media(from, googleapi.ChunkSize(gcsChunk), googleapi.EnableAutoChecksum()).Context(ctx).Do()
		return gcsError(ctx, err)
	})
}

// Get implements Store.
func (s *GCS) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	answer, err := s.objects.Get(s.bucket, key).Context(ctx).Download() //nolint:bodyclose // whoever reads it closes it
	if err != nil {
		return nil, fmt.Errorf("getting %s: %w", key, gcsError(ctx, err))
	}
	return body{answer.Body, ctx}, nil
}

// gcsObject is what the API tells of an object.
func gcsObject(o *storage.Object) (Object, error) {
	updated, err := time.Parse(time.RFC3339, o.Updated)
	return Object{Key: o.Name, Size: int64(o.Size), ModTime: updated}, err
}

// Stat implements Store.
func (s *GCS) Stat(ctx context.Context, key string) (Object, error) {
	if err := checkKey(key); err != nil {
		return Object{}, err
	}
	found, err := s.objects.Get(s.bucket, key).Fields("name", "size", "updated").Context(ctx).Do()
	if err == nil {
		var o Object
		if o, err = gcsObject(found); err == nil {
			return o, nil
		}
	}
	return Object{}, fmt.Errorf("looking at %s: %w", key, gcsError(ctx, err))
}

// List implements Store.
func (s *GCS) List(ctx context.Context, prefix string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		if _, ok := directory(prefix); !ok {
			return
		}
		stopped := errors.New("no more is wanted")
		list := s.objects.List(s.bucket).Prefix(prefix).Fields("nextPageToken", "items(name,size,updated)")
		err := list.Pages(ctx, func(page *storage.Objects) error {
			for _, item := range page.Items {
				o, err := gcsObject(item)
				if err != nil {
					return err
				}
				if !yield(o, nil) {
					return stopped
				}
			}
			return nil
		})
		if errors.Is(err, stopped) {
			return
		}
		if err = gcsError(ctx, err); err != nil && !errors.Is(err, ErrNotFound) { // the bucket
			yield(Object{}, fmt.Errorf("listing %s: %w", prefix, err))
		}
	}
}

// Delete implements Store.
func (s *GCS) Delete(ctx context.Context, key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	err := gcsError(ctx, s.objects.Delete(s.bucket, key).Context(ctx).Do())
	if err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("deleting %s: %w", key, err)
	}
	return nil
}
