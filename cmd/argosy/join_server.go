package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"argosy/queue"
	"argosy/server"
	"argosy/workflow"
	"argosy/workflow/spec"
)

// runStore lets the server keep its runs in the queue.
type runStore struct {
	*queue.Runs
	conn *queue.Conn
	room *queue.Room
}

func (s *runStore) Submit(ctx context.Context, run *workflow.Run, specJSON []byte) error {
	return serverError(s.Runs.Submit(ctx, run, specJSON))
}

func (s *runStore) SubmitOnce(ctx context.Context, run *workflow.Run, specJSON []byte) error {
	return serverError(s.Runs.SubmitOnce(ctx, run, specJSON))
}

func (s *runStore) RunID(ctx context.Context, namespace, name string) (string, error) {
	id, err := s.Runs.RunID(ctx, namespace, name)
	return id, serverError(err)
}

func (s *runStore) Page(ctx context.Context, namespace, after string, limit int, keep func(*server.Record) bool) ([]*server.Record, string, error) {
	return s.page(ctx, namespace, after, limit, queue.Live, keep)
}

func (s *runStore) page(ctx context.Context, namespace, after string, limit int, of queue.ListOf, keep func(*server.Record) bool) ([]*server.Record, string, error) {
	// The token comes from a client, and a bad one is its fault.
	if first, _, _ := strings.Cut(after, "."); after != "" {
		if _, err := strconv.ParseInt(first, 10, 64); err != nil {
			return nil, "", &server.Error{Code: server.CodeInvalid, Message: "listOptions.continue: not a token of an earlier page"}
		}
	}
	page, next, err := s.Runs.List(ctx, namespace, queue.ListOptions{
		Limit: limit, Continue: after, Of: of,
		Keep: func(r *queue.Snapshot) bool { return keep(record(r)) },
	})
	if err != nil {
		return nil, "", serverError(err)
	}
	records := make([]*server.Record, len(page))
	for i, r := range page {
		records[i] = record(r)
	}
	return records, next, nil
}

func (s *runStore) Head(ctx context.Context, id string) (*server.Record, error) {
	snapshot, err := s.Runs.Head(ctx, id)
	if err != nil {
		return nil, serverError(err)
	}
	return record(snapshot), nil
}

func (s *runStore) Load(ctx context.Context, id string, most int) (*server.Record, error) {
	snapshot, err := s.Runs.Load(ctx, id, most)
	if err != nil {
		return nil, serverError(err)
	}
	r := record(snapshot)
	r.Nodes, r.Complete = snapshot.Nodes, snapshot.Complete
	r.Held = make(map[workflow.Key]bool, len(snapshot.Flights))
	for k, f := range snapshot.Flights {
		r.Held[k] = f.State != queue.FlightSent
	}
	return r, nil
}

func (s *runStore) Spec(ctx context.Context, digest string) ([]byte, error) {
	data, err := s.Runs.Spec(ctx, digest)
	return data, serverError(err)
}

func (s *runStore) Signal(ctx context.Context, id string, e workflow.Event) error {
	return serverError(s.Runs.Signal(ctx, id, e))
}

func (s *runStore) TakeUp(ctx context.Context, r *server.Record, state *workflow.State, run *workflow.Run) error {
	return serverError(s.Runs.TakeUp(ctx, r.Run.ID, r.Version, state, run, r.Digest))
}

func (s *runStore) Delete(ctx context.Context, id string) error {
	return serverError(s.Runs.Delete(ctx, id))
}

func (s *runStore) Discard(ctx context.Context, id string) error {
	return serverError(s.Runs.Discard(ctx, id))
}

func (s *runStore) Fill(ctx context.Context) (server.Fill, error) {
	f, err := s.room.Fill(ctx)
	return server.Fill{Runs: f.Runs, Used: f.Used, Limit: f.Limit, At: f.At}, err
}

func (s *runStore) Ping(ctx context.Context) error { return s.conn.Ping(ctx) }

func record(s *queue.Snapshot) *server.Record {
	return &server.Record{Run: s.Run, Digest: s.Digest, State: s.State, Version: s.Version, Archived: s.Archived}
}

// serverError gives the queue's errors the names that the server has for them.
func serverError(err error) error {
	for _, pair := range []struct{ theirs, ours error }{
		{queue.ErrNotFound, server.ErrNotFound},
		{queue.ErrExists, server.ErrExists},
		{queue.ErrFinished, server.ErrFinished},
		{queue.ErrConflict, server.ErrConflict},
	} {
		if errors.Is(err, pair.theirs) {
			return fmt.Errorf("%w: %w", pair.ours, err)
		}
	}
	return err
}

// objectStore lets the server keep objects in the queue.
type objectStore struct {
	objects *queue.Objects
	locks   *queue.Locks
}

func (s objectStore) Put(ctx context.Context, kind, namespace, name string, object []byte, version int64) (int64, error) {
	v, err := s.objects.Put(ctx, kind, namespace, name, object, version)
	if err != nil {
		return v, serverError(err)
	}
	return v, s.limit(ctx, kind, namespace, name, object, v)
}

// limit has who waits for a semaphore go by its new limit at once. Without it they see it
// within half a minute.
func (s objectStore) limit(ctx context.Context, kind, namespace, name string, object []byte, version int64) error {
	switch kind {
	case spec.KindConfigMap:
		limits := map[string]int{}
		if object != nil {
			m, err := workflow.DecodeConfigMap(object)
			if err != nil {
				return err
			}
			for key := range m.Data {
				limits[key] = m.Limit(key)
			}
		}
		return s.locks.SetLimits(ctx, namespace+"/ConfigMap/"+name+"/", limits, version)
	case workflow.KindSyncLimit:
		limit := &workflow.SyncLimit{}
		if object != nil {
			var err error
			if limit, err = workflow.DecodeSyncLimit(object, version); err != nil {
				return err
			}
		}
		return s.locks.SetLimit(ctx, namespace+"/Database/"+name, limit.Limit, version)
	}
	return nil
}

func (s objectStore) Get(ctx context.Context, kind, namespace, name string) (*server.Stored, error) {
	o, err := s.objects.Get(ctx, kind, namespace, name)
	return (*server.Stored)(o), serverError(err)
}

func (s objectStore) List(ctx context.Context, kind, namespace string) ([]*server.Stored, error) {
	read := s.objects.Everywhere
	if namespace != "" {
		read = func(ctx context.Context, kind string) ([]*queue.Object, error) {
			return s.objects.List(ctx, kind, namespace)
		}
	}
	list, err := read(ctx, kind)
	out := make([]*server.Stored, len(list))
	for i, o := range list {
		out[i] = (*server.Stored)(o)
	}
	return out, serverError(err)
}

func (s objectStore) Delete(ctx context.Context, kind, namespace, name string) error {
	v, err := s.objects.Remove(ctx, kind, namespace, name)
	if err != nil {
		return serverError(err)
	}
	return s.limit(ctx, kind, namespace, name, nil, v)
}

// runLogs lets the server read the queue's live logs.
type runLogs struct{ *queue.Logs }

func (l runLogs) Read(ctx context.Context, run *workflow.Run, key workflow.Key, after string) ([]server.Chunk, string, error) {
	entries, next, err := l.Logs.Read(ctx, run.ID, key, after, 0)
	if err != nil {
		return nil, next, err
	}
	chunks := make([]server.Chunk, len(entries))
	for i, e := range entries {
		chunks[i] = server.Chunk(e)
	}
	return chunks, next, nil
}
