package artifacts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"

	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"
	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss/credentials"
)

// OSSConfig says where a bucket of Alibaba Cloud's OSS is.
type OSSConfig struct {
	Endpoint string // such as https://oss-cn-hangzhou.aliyuncs.com
	Bucket   string
	Create   bool // the bucket is made at the first Put if absent

	// AccessKey and SecretKey are who asks; without them nobody in particular does.
	AccessKey, SecretKey, SecurityToken string
	// OwnIdentity: without keys it is the identity that this process has in its cloud.
	OwnIdentity bool
	Transport   http.RoundTripper

	// InfrequentAfter and DeleteAfter are days after which objects move to the storage class for
	// what is read seldom, and go; 0: never.
	InfrequentAfter, DeleteAfter int32
}

// OSS is a Store in a bucket of Alibaba Cloud's OSS.
type OSS struct {
	client *oss.Client
	cfg    OSSConfig

	mu    sync.Mutex // held while the bucket is made ready
	ready bool
}

// NewOSS makes a client; it does not yet talk to the server.
func NewOSS(cfg OSSConfig) (*OSS, error) {
	switch {
	case cfg.Bucket == "" || cfg.Endpoint == "":
		return nil, errors.New("opening the artifact bucket: it needs an endpoint and a name")
	case cfg.InfrequentAfter > 0 && cfg.DeleteAfter > 0 && cfg.InfrequentAfter >= cfg.DeleteAfter:
		return nil, fmt.Errorf("opening the artifact bucket %s: markInfrequentAccessAfterDays must be less than markDeletionAfterDays", cfg.Bucket)
	}
	c := oss.LoadDefaultConfig().WithEndpoint(cfg.Endpoint).WithHttpClient(&http.Client{Transport: cfg.Transport})
	// Of one request. Who has time tries all of it again: see ErrAway.
	c.WithRetryMaxAttempts(3)
	c.WithCredentialsProvider(cfg.credentials())
	if region := ossRegion(cfg.Endpoint); region != "" {
		c.WithRegion(region)
	} else { // an endpoint of one's own does not tell it, and the newer signature has it
		c.WithRegion("none").WithSignatureVersion(oss.SignatureVersionV1)
	}
	return &OSS{client: oss.NewClient(c), cfg: cfg, ready: !cfg.Create && cfg.InfrequentAfter == 0 && cfg.DeleteAfter == 0}, nil
}

func (cfg *OSSConfig) credentials() credentials.CredentialsProvider {
	switch {
	case cfg.AccessKey != "" && cfg.SecretKey != "":
		return credentials.NewStaticCredentialsProvider(cfg.AccessKey, cfg.SecretKey, cfg.SecurityToken)
	case !cfg.OwnIdentity:
		return credentials.NewAnonymousCredentialsProvider()
	case os.Getenv("OSS_ACCESS_KEY_ID") != "":
		return credentials.NewEnvironmentVariableCredentialsProvider()
	}
	return credentials.NewEcsRoleCredentialsProvider()
}

// ossRegion is in the name of OSS's own endpoints: oss-REGION.aliyuncs.com, with -internal after
// the region within Alibaba's networks.
func ossRegion(endpoint string) string {
	_, host, found := strings.Cut(endpoint, "://")
	if !found {
		host = endpoint
	}
	u, err := url.Parse("https://" + host)
	if err != nil {
		return ""
	}
	name, ours := strings.CutSuffix(u.Hostname(), ".aliyuncs.com")
	region, known := strings.CutPrefix(name, "oss-")
	if !ours || !known || strings.HasPrefix(region, "accelerate") || strings.Contains(region, ".") {
		return ""
	}
	return strings.TrimSuffix(region, "-internal")
}

// ossError says what a store has to know of an error.
func ossError(ctx context.Context, err error) error {
	answer, ok := errors.AsType[*oss.ServiceError](err)
	if !ok {
		return away(ctx, err)
	}
	return answered(answer.StatusCode, fmt.Errorf("it answered %d %s: %s", answer.StatusCode, answer.Code, answer.Message))
}

// prepare makes the bucket, if that is asked for and it is absent, and says how objects age.
func (s *OSS) prepare(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ready {
		return nil
	}
	if s.cfg.Create {
		_, err := s.client.PutBucket(ctx, &oss.PutBucketRequest{Bucket: &s.cfg.Bucket})
		if told, ok := errors.AsType[*oss.ServiceError](err); err != nil && !(ok && told.Code == "BucketAlreadyExists") {
			return fmt.Errorf("making the bucket %s: %w", s.cfg.Bucket, ossError(ctx, err))
		}
	}
	if err := s.age(ctx); err != nil {
		return fmt.Errorf("setting how objects of the bucket %s age: %w", s.cfg.Bucket, err)
	}
	s.ready = true
	return nil
}

func (s *OSS) age(ctx context.Context) error {
	rule := oss.LifecycleRule{ID: oss.Ptr("argosy"), Status: oss.Ptr("Enabled"), Prefix: oss.Ptr("")}
	if days := s.cfg.InfrequentAfter; days > 0 {
		rule.Transitions = []oss.LifecycleRuleTransition{{Days: &days, StorageClass: oss.StorageClassIA}}
	}
	if days := s.cfg.DeleteAfter; days > 0 {
		rule.Expiration = &oss.LifecycleRuleExpiration{Days: &days}
	}
	if rule.Transitions == nil && rule.Expiration == nil {
		return nil
	}
	_, err := s.client.PutBucketLifecycle(ctx, &oss.PutBucketLifecycleRequest{
		Bucket: &s.cfg.Bucket, LifecycleConfiguration: &oss.LifecycleConfiguration{Rules: []oss.LifecycleRule{rule}},
	})
	return ossError(ctx, err)
}

// Put implements Store. An object is there when all its parts are, and not before.
func (s *OSS) Put(ctx context.Context, key string, r io.Reader, size int64) error {
	if err := checkKey(key); err != nil {
		return err
	}
	if err := s.prepare(ctx); err != nil {
		return fmt.Errorf("putting %s: %w", key, err)
	}
	return put(ctx, key, r, size, func(from *upload) error { return s.put(ctx, key, from) })
}

func (s *OSS) put(ctx context.Context, key string, from *upload) error {
	whole, rest, err := from.ahead()
	if err != nil {
		return err
	}
	if whole != nil {
		_, err := s.client.PutObject(ctx, &oss.PutObjectRequest{Bucket: &s.cfg.Bucket, Key: &key, Body: whole})
		return ossError(ctx, err)
	}
	begun, err := s.client.InitiateMultipartUpload(ctx, &oss.InitiateMultipartUploadRequest{Bucket: &s.cfg.Bucket, Key: &key})
	if err != nil {
		return ossError(ctx, err)
	}
	if err = s.parts(ctx, key, *begun.UploadId, rest); err != nil {
		// What nobody completes is paid for until it is taken back.
		ctx := context.WithoutCancel(ctx)
		_, left := s.client.AbortMultipartUpload(ctx, &oss.AbortMultipartUploadRequest{Bucket: &s.cfg.Bucket, Key: &key, UploadId: begun.UploadId})
		return errors.Join(err, ossError(ctx, left))
	}
	return nil
}

func (s *OSS) parts(ctx context.Context, key, id string, r io.Reader) error {
	var done oss.CompleteMultipartUpload
	part := make([]byte, partSize)
	for {
		n, err := io.ReadFull(r, part)
		// Its own errors, not those that the stream has.
		last := err == io.EOF || err == io.ErrUnexpectedEOF //nolint:errorlint // see above
		if err != nil && !last {
			return err
		}
		if n > 0 {
			number := int32(len(done.Parts) + 1)
			put, err := s.client.UploadPart(ctx, &oss.UploadPartRequest{
				Bucket: &s.cfg.Bucket, Key: &key, UploadId: &id, PartNumber: number, Body: bytes.NewReader(part[:n]),
			})
			if err != nil {
				return ossError(ctx, err)
			}
			done.Parts = append(done.Parts, oss.UploadPart{PartNumber: number, ETag: put.ETag})
		}
		if last {
			break
		}
	}
	_, err := s.client.CompleteMultipartUpload(ctx, &oss.CompleteMultipartUploadRequest{
		Bucket: &s.cfg.Bucket, Key: &key, UploadId: &id, CompleteMultipartUpload: &done,
	})
	return ossError(ctx, err)
}

// Get implements Store.
func (s *OSS) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	answer, err := s.client.GetObject(ctx, &oss.GetObjectRequest{Bucket: &s.cfg.Bucket, Key: &key})
	if err != nil {
		return nil, fmt.Errorf("getting %s: %w", key, ossError(ctx, err))
	}
	return body{answer.Body, ctx}, nil
}

// Stat implements Store.
func (s *OSS) Stat(ctx context.Context, key string) (Object, error) {
	if err := checkKey(key); err != nil {
		return Object{}, err
	}
	found, err := s.client.HeadObject(ctx, &oss.HeadObjectRequest{Bucket: &s.cfg.Bucket, Key: &key})
	if err != nil {
		return Object{}, fmt.Errorf("looking at %s: %w", key, ossError(ctx, err))
	}
	o := Object{Key: key, Size: found.ContentLength}
	if found.LastModified != nil {
		o.ModTime = *found.LastModified
	}
	return o, nil
}

// List implements Store.
func (s *OSS) List(ctx context.Context, prefix string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		if _, ok := directory(prefix); !ok {
			return
		}
		request := &oss.ListObjectsV2Request{Bucket: &s.cfg.Bucket, Prefix: &prefix, MaxKeys: 1000}
		for {
			page, err := s.client.ListObjectsV2(ctx, request)
			if err = ossError(ctx, err); errors.Is(err, ErrNotFound) { // the bucket
				return
			} else if err != nil {
				yield(Object{}, fmt.Errorf("listing %s: %w", prefix, err))
				return
			}
			for _, item := range page.Contents {
				o := Object{Key: *item.Key, Size: item.Size}
				if item.LastModified != nil {
					o.ModTime = *item.LastModified
				}
				if !yield(o, nil) {
					return
				}
			}
			if !page.IsTruncated || page.NextContinuationToken == nil {
				return
			}
			request.ContinuationToken = page.NextContinuationToken
		}
	}
}

// Delete implements Store.
func (s *OSS) Delete(ctx context.Context, key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	_, err := s.client.DeleteObject(ctx, &oss.DeleteObjectRequest{Bucket: &s.cfg.Bucket, Key: &key})
	if err = ossError(ctx, err); err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("deleting %s: %w", key, err)
	}
	return nil
}
