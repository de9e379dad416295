package queue

import (
	"context"
	"fmt"
	"time"
)

// watchEvery bounds the delay of a change whose message got lost.
const watchEvery = 2 * time.Second

// Watch returns a channel that gets something whenever a run may have changed, at least
// every two seconds, and at once to begin with. Changes that nobody received yet are one.
// The channel is closed when ctx ends.
func (r *Runs) Watch(ctx context.Context, id string) (<-chan struct{}, error) {
	sub := r.conn.client.Subscribe(ctx, changedChannel(id))
	// Only what is committed after this is sure to be heard.
	if _, err := sub.Receive(ctx); err != nil {
		sub.Close()
		return nil, fmt.Errorf("watching run %s: %w", id, err)
	}
	changed := make(chan struct{}, 1)
	changed <- struct{}{}
	go func() {
		defer close(changed)
		defer sub.Close()
		ticker := time.NewTicker(watchEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-sub.Channel():
			case <-ticker.C:
			}
			select {
			case changed <- struct{}{}:
			default:
			}
		}
	}()
	return changed, nil
}
