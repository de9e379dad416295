package queue

import (
	"context"
	"crypto/rand"
	"fmt"
)

// Identity tells this Redis from others: the same for all who ever connect to it, as long as
// its data lives. What is kept elsewhere for the runs of one is labelled with it.
func (c *Conn) Identity(ctx context.Context) (string, error) {
	// The first to ask decides.
	err := c.client.SetNX(ctx, identityKey, rand.Text(), 0).Err()
	if err != nil {
		return "", fmt.Errorf("naming this Redis: %w", err)
	}
	id, err := c.client.Get(ctx, identityKey).Result()
	if err != nil {
		return "", fmt.Errorf("reading which Redis it is: %w", err)
	}
	return id, nil
}
