package main

import (
	"context"
	"io"

	"argosy/queue"
	"argosy/worker"
)

// logSink keeps the output of steps in the queue's logs.
type logSink struct{ logs *queue.Logs }

func (s logSink) Open(ctx context.Context, step *worker.Step) (io.WriteCloser, error) {
	// What a step wrote until it was ended is worth keeping.
	ctx = context.WithoutCancel(ctx)
	return newLogBuffer(func(data []byte) error {
		return s.logs.Append(ctx, step.Run.ID, step.Key, data)
	}), nil
}
