package queue

import "github.com/redis/go-redis/v9"

// Leave has a ticket lie as one that was taken for a caller who had gone.
func (t *Turns) Leave(ticket *Ticket) { t.ready <- ticket }

// NewCombine makes the hook that has callers share pipelines.
func NewCombine() redis.Hook { return &combine{} }

// Bounds of it.
const (
	MaxCombined = maxCombined
	CombineTime = combineTime
)
