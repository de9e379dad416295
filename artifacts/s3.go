package artifacts

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
)

const (
	// smallObject is what is read ahead of a stream of unknown size; most
	// artifacts end within it and go up in one request.
	smallObject = 1 << 20
	// partSize is the memory that a larger upload holds: S3 wants each part
	// whole, and 10,000 of these are 156 GiB.
	partSize = 16 << 20
	// defaultLargeUploads bounds how many of these there are.
	defaultLargeUploads = 8
)

// S3Config says where a bucket is.
type S3Config struct {
	Endpoint string // host:port
	Region   string // us-east-1 if empty
	Bucket   string // made at the first Put if absent
	Existing bool   // an absent bucket is not made
	// Addressing is how the bucket is named in requests: "path", "virtual-hosted", or "" for
	// what suits the endpoint.
	Addressing string
	Insecure   bool // http instead of https

	// AccessKey and SecretKey are who asks; without them nobody in particular does.
	AccessKey, SecretKey, SessionToken string
	// OwnIdentity: without keys it is the identity that this process has in its cloud, or the
	// role that it assumes.
	OwnIdentity bool
	RoleARN     string

	// ObjectLocking is for a bucket that is made: its objects can be kept from deletion.
	ObjectLocking bool
	Encryption    S3Encryption

	// LargeUploads is how many uploads over 16 MiB go on at once; each holds
	// that much memory. The default is 8.
	LargeUploads int
	// Transport is for private certificate authorities; nil is the default.
	Transport http.RoundTripper
}

// S3 is a Store in a bucket.
type S3 struct {
	client *minio.Core
	bucket string
	region string
	large  chan struct{}

	locking    bool
	anonymous  bool
	encryption S3Encryption

	mu    sync.Mutex // held while the bucket is looked for
	ready bool
}

// NewS3 makes a client; it does not yet talk to the server, so that the order
// in which things start does not matter.
func NewS3(cfg S3Config) (*S3, error) {
	if cfg.Bucket == "" {
		return nil, errors.New("opening the artifact bucket: it has no name")
	}
	region := cmp.Or(cfg.Region, "us-east-1")
	lookup, known := map[string]minio.BucketLookupType{
		"": minio.BucketLookupAuto, "auto-detect": minio.BucketLookupAuto, "auto": minio.BucketLookupAuto,
		"path": minio.BucketLookupPath, "virtual-hosted": minio.BucketLookupDNS,
	}[cfg.Addressing]
	if !known {
		return nil, fmt.Errorf("opening the artifact bucket: addressing %q is none of path and virtual-hosted", cfg.Addressing)
	}
	if err := cfg.Encryption.check(cfg.Insecure); err != nil {
		return nil, fmt.Errorf("opening the artifact bucket %s: %w", cfg.Bucket, err)
	}
	client, err := minio.NewCore(cfg.Endpoint, &minio.Options{
		Creds:     cfg.credentials(),
		Secure:    !cfg.Insecure,
		Region:    region,
		Transport: cfg.Transport,

		BucketLookup: lookup,
		// Of one request. Who has time tries all of it again: see ErrAway.
		MaxRetries: 4,
	})
	if err != nil {
		return nil, fmt.Errorf("opening the artifact bucket: %w", err)
	}
	uploads := cmp.Or(cfg.LargeUploads, defaultLargeUploads)
	return &S3{
		client: client, bucket: cfg.Bucket, region: region, large: make(chan struct{}, max(uploads, 1)), ready: cfg.Existing,
		locking: cfg.ObjectLocking, anonymous: !cfg.OwnIdentity && cfg.AccessKey == "", encryption: cfg.Encryption,
	}, nil
}

// EnsureBucket makes the bucket if it is absent.
func (s *S3) EnsureBucket(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ready {
		return nil
	}
	exists, err := s.client.BucketExists(ctx, s.bucket)
	if err == nil && !exists {
		err = s.client.MakeBucket(ctx, s.bucket, minio.MakeBucketOptions{Region: s.region, ObjectLocking: s.locking})
		switch code := minio.ToErrorResponse(err).Code; {
		case code == "BucketAlreadyOwnedByYou", code == "BucketAlreadyExists": // by another worker just now
			err = nil
		case err == nil:
			if err = s.encryptBucket(ctx); err == nil {
				err = s.forgetParts(ctx)
			}
		}
	}
	if err != nil {
		return fmt.Errorf("looking for the bucket %s: %w", s.bucket, away(ctx, err))
	}
	s.ready = true
	return nil
}

// Put implements Store.
func (s *S3) Put(ctx context.Context, key string, r io.Reader, size int64) error {
	if err := checkKey(key); err != nil {
		return err
	}
	if err := s.EnsureBucket(ctx); err != nil {
		return fmt.Errorf("putting %s: %w", key, err)
	}
	return put(ctx, key, r, size, func(from *upload) error { return away(ctx, s.put(ctx, key, from, size)) })
}

func (s *S3) put(ctx context.Context, key string, from *upload, size int64) error {
	whole, body, err := from.ahead()
	if err != nil {
		return err
	}
	if whole != nil {
		body, size = whole, whole.Size()
	} else if size < 0 || size >= partSize {
		select {
		case s.large <- struct{}{}:
			defer func() { <-s.large }()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	encryption, err := s.encryption.of(s.bucket, key)
	if err != nil {
		return err
	}
	for try := 1; ; try++ {
		_, err = s.client.Client.PutObject(ctx, s.bucket, key, body, size, minio.PutObjectOptions{
			ContentType: "application/octet-stream",
			PartSize:    partSize,

			ServerSideEncryption: encryption,
			// A bucket with object locking takes nothing without.
			SendContentMd5: s.locking,
		})
		// MinIO on a plain directory says AccessDenied when the last neighbour of the object
		// is deleted at the same moment, and their common folder with it. A true denial is
		// one the next time, too.
		if whole == nil || try == maxDenials || minio.ToErrorResponse(err).Code != minio.AccessDenied {
			return err
		}
		if _, err := whole.Seek(0, io.SeekStart); err != nil {
			return err
		}
	}
}

// Get implements Store.
func (s *S3) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	encryption, err := s.encryption.of(s.bucket, key)
	if err != nil {
		return nil, fmt.Errorf("getting %s: %w", key, err)
	}
	object, _, _, err := s.client.GetObject(ctx, s.bucket, key, minio.GetObjectOptions{ServerSideEncryption: encryption})
	if err != nil {
		return nil, fmt.Errorf("getting %s: %w", key, away(ctx, notFound(err)))
	}
	return body{object, ctx}, nil
}

// Stat implements Store.
func (s *S3) Stat(ctx context.Context, key string) (Object, error) {
	if err := checkKey(key); err != nil {
		return Object{}, err
	}
	encryption, err := s.encryption.of(s.bucket, key)
	if err != nil {
		return Object{}, fmt.Errorf("looking at %s: %w", key, err)
	}
	info, err := s.client.StatObject(ctx, s.bucket, key, minio.StatObjectOptions{ServerSideEncryption: encryption})
	if err != nil {
		return Object{}, fmt.Errorf("looking at %s: %w", key, away(ctx, notFound(err)))
	}
	return Object{Key: key, Size: info.Size, ModTime: info.LastModified}, nil
}

func notFound(err error) error {
	switch minio.ToErrorResponse(err).Code {
	case minio.NoSuchKey, minio.NoSuchBucket:
		return fmt.Errorf("%w (%w)", ErrNotFound, err)
	}
	return err
}

// List implements Store.
func (s *S3) List(ctx context.Context, prefix string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		dir, ok := directory(prefix)
		if !ok {
			return
		}
		// MinIO refuses the parts "." and "..", but a key's part may begin so.
		within := prefix
		if name := prefix[len(dir):]; name == "." || name == ".." {
			within = dir
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		for info := range s.client.ListObjectsIter(ctx, s.bucket, minio.ListObjectsOptions{Prefix: within, Recursive: true}) {
			if err := info.Err; err != nil {
				if minio.ToErrorResponse(err).Code != minio.NoSuchBucket {
					yield(Object{}, fmt.Errorf("listing %s: %w", prefix, away(ctx, err)))
				}
				return
			}
			if !strings.HasPrefix(info.Key, prefix) {
				continue
			}
			if !yield(Object{Key: info.Key, Size: info.Size, ModTime: info.LastModified}, nil) {
				return
			}
		}
		// The iterator ends silently with its context.
		if err := ctx.Err(); err != nil {
			yield(Object{}, fmt.Errorf("listing %s: %w", prefix, err))
		}
	}
}

// Delete implements Store.
func (s *S3) Delete(ctx context.Context, key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	err := s.client.RemoveObject(ctx, s.bucket, key, minio.RemoveObjectOptions{})
	if err != nil && !errors.Is(notFound(err), ErrNotFound) {
		return fmt.Errorf("deleting %s: %w", key, away(ctx, err))
	}
	return nil
}

// PresignGet makes an address from which whoever has it may get the object.
func (s *S3) PresignGet(ctx context.Context, key string, ttl time.Duration) (*url.URL, error) {
	return s.presign(ctx, http.MethodGet, key, ttl)
}

// PresignPut makes an address to which whoever has it may put the object.
func (s *S3) PresignPut(ctx context.Context, key string, ttl time.Duration) (*url.URL, error) {
	if err := s.EnsureBucket(ctx); err != nil {
		return nil, fmt.Errorf("signing for %s: %w", key, err)
	}
	return s.presign(ctx, http.MethodPut, key, ttl)
}

func (s *S3) presign(ctx context.Context, method, key string, ttl time.Duration) (*url.URL, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	u, err := s.client.Presign(ctx, method, s.bucket, key, ttl, nil)
	if err != nil {
		return nil, fmt.Errorf("signing for %s: %w", key, err)
	}
	return u, nil
}
