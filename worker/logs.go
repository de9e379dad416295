package worker

import (
	"context"
	"io"
	"log/slog"

	"argosy/workflow"
)

// LogSink keeps what steps write.
type LogSink interface {
	// Open starts the log of a step. Close completes it.
	Open(ctx context.Context, s *Step) (io.WriteCloser, error)
}

// Logs sends a step's output to the sink, in addition to where it went before. Trouble with
// the sink costs the log and never the step.
func Logs(next Executor, sink LogSink, log *slog.Logger) Executor {
	return ExecutorFunc(func(ctx context.Context, s *Step) (workflow.Result, error) {
		warn := func(what string, err error) {
			log.Warn(what, "hop", "store", "run", s.Run.ID, "node", string(s.Key), "err", err)
		}
		w, err := sink.Open(ctx, s)
		if err != nil {
			warn("the step's log is not kept", err)
			return next.Execute(ctx, s)
		}
		logged := *s
		logged.Log = both(s.Log, w, func(err error) { warn("the step's log is cut", err) })
		r, err := next.Execute(ctx, &logged)
		if cerr := w.Close(); cerr != nil {
			warn("the step's log may be cut", cerr)
		}
		return r, err
	})
}

// both writes to first and, until it fails, to sink.
func both(first, sink io.Writer, failed func(error)) io.Writer {
	return &tee{first: first, sink: sink, failed: failed}
}

type tee struct {
	first, sink io.Writer
	failed      func(error)
}

func (t *tee) Write(p []byte) (int, error) {
	if t.sink != nil {
		if _, err := t.sink.Write(p); err != nil {
			t.sink = nil
			t.failed(err)
		}
	}
	return t.first.Write(p)
}
