package artifacts

import (
	"context"
	"crypto/md5" //nolint:gosec // S3's own checksum of a part, not a secret's
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/lifecycle"
)

// Parts is a Store to which others, who have no keys for it, can send an object in parts. Nothing
// of it is there before it is completed.
type Parts interface {
	// StartParts begins an object. It fails with ErrNoParts where only the store's own client
	// can write.
	StartParts(ctx context.Context, key string) (upload string, err error)
	// PresignPart makes an address to which whoever has it may put the part of a number from 1
	// on, if the content has the MD5 sum: that has to be in the request's Content-MD5.
	PresignPart(ctx context.Context, key, upload string, number int, md5 []byte, ttl time.Duration) (*url.URL, error)
	// CompleteParts makes one object of the parts, by what the server answered to each, in
	// order. To do it again changes nothing.
	CompleteParts(ctx context.Context, key, upload string, etags []string) error
	// AbortParts forgets an object that was begun and not completed.
	AbortParts(ctx context.Context, key, upload string) error
}

// ErrNoParts says that only the store's own client can write an object there.
var ErrNoParts = errors.New("the store takes no parts from others")

var _ Parts = (*S3)(nil)

// StartParts implements Parts.
func (s *S3) StartParts(ctx context.Context, key string) (string, error) {
	if err := checkKey(key); err != nil {
		return "", err
	}
	if s.encryption.CustomerKey != "" {
		return "", fmt.Errorf("starting %s, which is encrypted with a key of the customer's: %w", key, ErrNoParts)
	}
	if s.anonymous {
		return "", fmt.Errorf("starting %s as nobody in particular: %w", key, ErrNoParts)
	}
	if err := s.EnsureBucket(ctx); err != nil {
		return "", fmt.Errorf("starting %s: %w", key, err)
	}
	encryption, err := s.encryption.of(s.bucket, key)
	if err != nil {
		return "", fmt.Errorf("starting %s: %w", key, err)
	}
	upload, err := s.client.NewMultipartUpload(ctx, s.bucket, key, minio.PutObjectOptions{
		ContentType: "application/octet-stream", ServerSideEncryption: encryption,
	})
	if err != nil {
		return "", fmt.Errorf("starting %s: %w", key, away(ctx, err))
	}
	return upload, nil
}

// PresignPart implements Parts.
func (s *S3) PresignPart(ctx context.Context, key, upload string, number int, sum []byte, ttl time.Duration) (*url.URL, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	query := url.Values{"partNumber": {strconv.Itoa(number)}, "uploadId": {upload}}
	header := http.Header{"Content-Md5": {base64.StdEncoding.EncodeToString(sum)}}
	u, err := s.client.PresignHeader(ctx, http.MethodPut, s.bucket, key, ttl, query, header)
	if err != nil {
		return nil, fmt.Errorf("signing for part %d of %s: %w", number, key, err)
	}
	return u, nil
}

// CompleteParts implements Parts.
func (s *S3) CompleteParts(ctx context.Context, key, upload string, etags []string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	parts := make([]minio.CompletePart, len(etags))
	for i, etag := range etags {
		parts[i] = minio.CompletePart{PartNumber: i + 1, ETag: strings.Trim(etag, `"`)}
	}
	_, err := s.client.CompleteMultipartUpload(ctx, s.bucket, key, upload, parts, minio.PutObjectOptions{})
	if minio.ToErrorResponse(err).Code == minio.NoSuchUpload && s.consistsOf(ctx, key, parts) {
		return nil // it was completed, and the answer was lost
	}
	if err != nil {
		return fmt.Errorf("completing %s: %w", key, away(ctx, err))
	}
	return nil
}

// consistsOf says that an object was made of the parts.
func (s *S3) consistsOf(ctx context.Context, key string, parts []minio.CompletePart) bool {
	all := md5.New() //nolint:gosec // as above
	for _, p := range parts {
		sum, err := hex.DecodeString(p.ETag)
		if err != nil || len(sum) != md5.Size {
			return false // encrypted, and so not told
		}
		all.Write(sum)
	}
	info, err := s.client.StatObject(ctx, s.bucket, key, minio.StatObjectOptions{})
	return err == nil && info.ETag == fmt.Sprintf("%x-%d", all.Sum(nil), len(parts))
}

// AbortParts implements Parts.
func (s *S3) AbortParts(ctx context.Context, key, upload string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	err := s.client.AbortMultipartUpload(ctx, s.bucket, key, upload)
	if err != nil && minio.ToErrorResponse(err).Code != minio.NoSuchUpload {
		return fmt.Errorf("giving up %s: %w", key, away(ctx, err))
	}
	return nil
}

// forgetAfter is for how many days parts are kept of which no object was made.
const forgetAfter = 7

// forgetParts has the server remove what is left of uploads that nobody completed, nor gave up: of
// pods and workers that died. A server that refuses has a way of its own, as MinIO does.
func (s *S3) forgetParts(ctx context.Context) error {
	rules := lifecycle.NewConfiguration()
	rules.Rules = []lifecycle.Rule{{
		ID: "argosy-parts", Status: "Enabled",
		AbortIncompleteMultipartUpload: lifecycle.AbortIncompleteMultipartUpload{DaysAfterInitiation: forgetAfter},
	}}
	err := s.client.SetBucketLifecycle(ctx, s.bucket, rules)
	if status := minio.ToErrorResponse(err).StatusCode; status == http.StatusNotImplemented || status >= 400 && status < 500 {
		return nil
	}
	return err
}
