package queue

import (
	"slices"

	"github.com/redis/go-redis/v9"
)

// Leave has a ticket lie as one that was taken for a caller who had gone.
func (t *Turns) Leave(ticket *Ticket) { t.ready <- ticket }

// NewCombine makes the hook that has callers share pipelines.
func NewCombine() redis.Hook { return &combine{} }

// Bounds of it.
const (
	MaxCombined = maxCombined
	CombineTime = combineTime
)

// Unsent are those of Out that did not go out with the commit.
func (c *Committed) Unsent() []Delivery {
	return slices.DeleteFunc(slices.Clone(c.Out), func(d Delivery) bool { return c.Sent[d] })
}
