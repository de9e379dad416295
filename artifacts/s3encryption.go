package artifacts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/minio/minio-go/v7/pkg/encrypt"
	"github.com/minio/minio-go/v7/pkg/sse"
)

// S3Encryption is how the server encrypts objects. The zero value leaves that to the bucket.
type S3Encryption struct {
	Enabled bool // with the server's own keys, unless one of the following says otherwise
	// KMSKey is the id of a key of the server's key management, KMSContext what it notes with
	// each use: a JSON object, or nothing.
	KMSKey, KMSContext string
	// CustomerKey is the secret that each object's key is derived from. The server does not keep
	// it: who reads an object must have it, too.
	CustomerKey string
}

func (e *S3Encryption) check(insecure bool) error {
	switch {
	case e.KMSKey != "" && e.CustomerKey != "":
		return errors.New("a key of the server's key management and one of the customer cannot be set together")
	case e.CustomerKey != "" && insecure:
		return errors.New("a customer's key goes over https only: secure must be set")
	case e.KMSContext != "":
		var object map[string]string
		if err := json.Unmarshal([]byte(e.KMSContext), &object); err != nil {
			return fmt.Errorf("the encryption context is not a JSON object of texts: %w", err)
		}
	}
	return nil
}

// of is the encryption of one object; nil leaves it to the bucket. It was checked.
func (e *S3Encryption) of(bucket, key string) (encrypt.ServerSide, error) {
	switch {
	case !e.Enabled:
		return nil, nil
	case e.CustomerKey != "": // derived as Argo does, so that each reads what the other wrote
		return encrypt.DefaultPBKDF([]byte(e.CustomerKey), []byte(bucket+key)), nil
	case e.KMSKey == "":
		return encrypt.NewSSE(), nil
	case e.KMSContext == "":
		return encrypt.NewSSEKMS(e.KMSKey, nil)
	}
	return encrypt.NewSSEKMS(e.KMSKey, json.RawMessage(e.KMSContext))
}

// encryptBucket makes encryption the rule of a bucket that was just made.
func (s *S3) encryptBucket(ctx context.Context) error {
	switch {
	case !s.encryption.Enabled, s.encryption.CustomerKey != "":
		return nil
	case s.encryption.KMSKey != "":
		return s.client.SetBucketEncryption(ctx, s.bucket, sse.NewConfigurationSSEKMS(s.encryption.KMSKey))
	}
	return s.client.SetBucketEncryption(ctx, s.bucket, sse.NewConfigurationSSES3())
}
