package server

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
)

// room decides whether another run may come in. The store tells how full it was a moment ago;
// what this server accepted since is added.
type room struct {
	store Store
	log   *slog.Logger
	most  int // runs that may be unfinished; 0 is no bound

	mu    sync.Mutex
	at    time.Time // when the store was as it told last
	since int       // accepted since then
}

// take refuses with CodeExhausted when there is no room for another run.
func (r *room) take(ctx context.Context) error {
	f, err := r.store.Fill(ctx)
	if err != nil {
		r.log.Warn("it is not known how full the store is now", "hop", "submit", "error", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !f.At.Equal(r.at) {
		r.at, r.since = f.At, 0
	}
	switch queued := f.Runs + r.since; {
	case r.most > 0 && queued >= r.most:
		return errorf(CodeExhausted, "%d workflows have not finished, of at most %d: submit again when some have "+
			"(argosy submit --wait-for-room does), or raise the server's --max-queued-runs", queued, r.most)
	case f.Limit > 0 && f.Used >= f.Limit:
		return errorf(CodeExhausted, "Redis uses %s of memory and takes no more workflows from %s on: submit again when there is room "+
			"(argosy submit --wait-for-room does), delete workflows that have finished, or raise --redis-memory-limit", size(f.Used), size(f.Limit))
	}
	r.since++
	return nil
}

// size writes bytes as a person would.
func size(bytes int64) string {
	const mi = 1 << 20
	if bytes >= mi {
		bytes = bytes / mi * mi
	}
	return resource.NewQuantity(bytes, resource.BinarySI).String()
}
