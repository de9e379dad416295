package artifacts

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/minio/minio-go/v7"
)

// Ranged is a Store that reads parts of objects.
type Ranged interface {
	Store
	// GetRange reads length bytes of an object from an offset on, or what there is of them.
	// ErrNotFound.
	GetRange(ctx context.Context, key string, offset, length int64) ([]byte, error)
}

// GetRange implements Ranged.
func (d *Dir) GetRange(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	file, _, err := d.open(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("getting a part of %s: %w", key, err)
	}
	data, err := io.ReadAll(io.NewSectionReader(file, offset, length))
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("getting a part of %s: %w", key, err)
	}
	return data, nil
}

// GetRange implements Ranged.
func (s *S3) GetRange(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	if length <= 0 {
		return nil, nil
	}
	data, err := s.getRange(ctx, key, offset, length)
	if err != nil {
		return nil, fmt.Errorf("getting a part of %s: %w", key, away(ctx, notFound(err)))
	}
	return data, nil
}

func (s *S3) getRange(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	encryption, err := s.encryption.of(s.bucket, key)
	if err != nil {
		return nil, err
	}
	o := minio.GetObjectOptions{ServerSideEncryption: encryption}
	if err := o.SetRange(offset, offset+length-1); err != nil {
		return nil, err
	}
	object, _, _, err := s.client.GetObject(ctx, s.bucket, key, o)
	if minio.ToErrorResponse(err).Code == minio.InvalidRange { // the object ends before
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(object, length))
	return data, errors.Join(err, object.Close())
}
