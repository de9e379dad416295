package queue

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"

	"github.com/redis/go-redis/v9"
)

// Specs reads the specs that runs share. What was read once is kept: a spec is named by its
// content and never changes.
type Specs struct {
	client redis.UniversalClient
	mu     sync.Mutex
	kept   map[string][]byte
}

// maxKeptSpecs bounds the memory of the cache; beyond it, any one makes room.
const maxKeptSpecs = 256

func newSpecs(client redis.UniversalClient) *Specs {
	return &Specs{client: client, kept: map[string][]byte{}}
}

// digestLen is the length of a digest.
const digestLen = 32

// Digest names a spec by its content.
func Digest(specJSON []byte) string {
	sum := sha256.Sum256(specJSON)
	return hex.EncodeToString(sum[:digestLen/2])
}

// Spec returns the JSON of a spec. The caller must not change it.
func (s *Specs) Spec(ctx context.Context, digest string) ([]byte, error) {
	s.mu.Lock()
	spec := s.kept[digest]
	s.mu.Unlock()
	if spec != nil {
		return spec, nil
	}
	spec, err := s.client.Get(ctx, specKey(digest)).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("reading spec %s: %w", digest, ErrNotFound)
	} else if err != nil {
		return nil, fmt.Errorf("reading spec %s: %w", digest, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.kept) >= maxKeptSpecs {
		for other := range s.kept {
			delete(s.kept, other)
			break
		}
	}
	s.kept[digest] = spec
	return spec, nil
}
