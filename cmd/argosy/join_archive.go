package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"argosy/archive"
	"argosy/artifacts"
	"argosy/queue"
	"argosy/server"
	"argosy/workflow"
)

// archiveFiles are the files of archived runs in the artifact store.
type archiveFiles struct{ store artifacts.Ranged }

// archiveKey is where the file of a run is: the same each time, so that there is one.
func archiveKey(ns, id string) string { return archivePrefix + "/" + ns + "/" + id }

// archivePrefix begins the keys of the archive, which are no artifacts of workflows.
const archivePrefix = "archived-workflows"

func ofArchive(key string) bool {
	return key == archivePrefix || strings.HasPrefix(key, archivePrefix+"/")
}

// write writes the file of a run, if that is to be archived. The store has all of it or nothing.
func (f archiveFiles) write(ctx context.Context, from *queue.Archive, id string) (_ *queue.Dumped, err error) {
	sorter := archive.NewSorter()
	defer func() { err = errors.Join(err, sorter.Close()) }()
	d, err := from.Dump(ctx, id, func(key string, value []byte) error {
		return sorter.Add(archive.Record{Key: key, Value: value})
	})
	if err != nil || d.State.Archiving != workflow.ArchivingPending {
		return d, err
	}
	r, w := io.Pipe()
	go func() { w.CloseWithError(writeTable(w, sorter)) }()
	err = f.store.Put(ctx, archiveKey(d.Run.Namespace, id), r, -1)
	_ = r.CloseWithError(io.ErrClosedPipe) // ends the writer, whatever became of the Put
	if err != nil {
		return nil, fmt.Errorf("archiving run %s: %w", id, err)
	}
	return d, nil
}

func writeTable(w io.Writer, from *archive.Sorter) error {
	out, err := archive.NewWriter(w)
	if err != nil {
		return err
	}
	for r, err := range from.Sorted() {
		if err != nil {
			return err
		}
		if err := out.Add(r); err != nil {
			return err
		}
	}
	return out.Close()
}

// open reads the file of a run: queue.ErrNotFound.
func (f archiveFiles) open(ctx context.Context, ns, id string) (*queue.ArchivedRun, error) {
	key := archiveKey(ns, id)
	object, err := f.store.Stat(ctx, key)
	if errors.Is(err, artifacts.ErrNotFound) {
		return nil, fmt.Errorf("%w: %w", queue.ErrNotFound, err)
	}
	if err != nil {
		return nil, err
	}
	r, err := archive.Open(ctx, func(ctx context.Context, offset, length int64) ([]byte, error) {
		return f.store.GetRange(ctx, key, offset, length)
	}, object.Size)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", key, err)
	}
	return queue.OpenArchived(ctx, id, archiveTable{r})
}

// remove removes a run from the archive, the row last: what was only half done is done again.
func (f archiveFiles) remove(ctx context.Context, from *queue.Archive, ns, id string) error {
	if err := f.store.Delete(ctx, archiveKey(ns, id)); err != nil {
		return err
	}
	if err := from.Forget(ctx, ns, id); err != nil && !errors.Is(err, queue.ErrNotFound) {
		return err
	}
	return nil
}

// archiveTable lets the queue read a file.
type archiveTable struct{ *archive.Reader }

// Below is part of queue.Table.
func (t archiveTable) Below(ctx context.Context, prefix string, each func(key string, value []byte) error) error {
	for r, err := range t.Reader.Below(ctx, prefix) {
		if err != nil {
			return err
		}
		if err := each(r.Key, r.Value); err != nil {
			return err
		}
	}
	return nil
}

// archivedRuns lets the server read the archive.
type archivedRuns struct {
	archive *queue.Archive
	runs    *queue.Runs
	store   *runStore
	files   archiveFiles
}

// newArchivedRuns reads the archive's rows, and its files if there is a store.
func newArchivedRuns(r *role, store artifacts.Ranged) *archivedRuns {
	runs := queue.NewRuns(r.conn)
	return &archivedRuns{archive: queue.NewArchive(r.conn), runs: runs, store: &runStore{Runs: runs, conn: r.conn, room: r.room}, files: archiveFiles{store}}
}

func (a *archivedRuns) Page(ctx context.Context, namespace, after string, limit int, live bool, keep func(*server.Record) bool) ([]*server.Record, string, error) {
	of := queue.Archived
	if live {
		of = queue.Anywhere
	}
	return a.store.page(ctx, namespace, after, limit, of, keep)
}

func (a *archivedRuns) Named(ctx context.Context, namespace, name string) ([]*server.Record, error) {
	found, err := a.archive.Named(ctx, namespace, name)
	records := make([]*server.Record, len(found))
	for i, s := range found {
		records[i] = record(s)
	}
	return records, err
}

func (a *archivedRuns) Row(ctx context.Context, namespace, id string) (*server.Record, error) {
	s, err := a.archive.Row(ctx, namespace, id)
	if err != nil {
		return nil, serverError(err)
	}
	return record(s), nil
}

var errNoArchiveStore = &server.Error{Code: server.CodeUnimplemented, Message: "this server does not know where archived workflows are: start it with --artifacts or the address of S3"}

func (a *archivedRuns) Open(ctx context.Context, namespace, id string, most int) (*server.Record, error) {
	if a.files.store == nil {
		return nil, errNoArchiveStore
	}
	run, err := a.files.open(ctx, namespace, id)
	if err != nil {
		return nil, serverError(err)
	}
	r := record(run.Snapshot)
	r.From = archivedSource{run}
	r.Nodes, r.Complete, r.Held = map[workflow.Key]*workflow.Node{}, run.Few(most), map[workflow.Key]bool{}
	if r.Complete {
		if r.Nodes, err = run.Whole(ctx); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (a *archivedRuns) Delete(ctx context.Context, namespace, id string) error {
	if a.files.store == nil {
		return errNoArchiveStore
	}
	return a.files.remove(ctx, a.archive, namespace, id)
}

func (a *archivedRuns) Restore(ctx context.Context, namespace, id string) error {
	if a.files.store == nil {
		return errNoArchiveStore
	}
	run, err := a.files.open(ctx, namespace, id)
	if err != nil {
		return serverError(err)
	}
	return serverError(a.runs.Restore(ctx, run))
}

func (a *archivedRuns) Labels(ctx context.Context) (map[string][]string, error) {
	return a.archive.Labels(ctx)
}

// archivedSource is where the nodes of one archived run are.
type archivedSource struct{ run *queue.ArchivedRun }

func (s archivedSource) Nodes(ctx context.Context, _ string, keys []workflow.Key) (map[workflow.Key]*workflow.Node, error) {
	return s.run.Nodes(ctx, keys)
}

func (s archivedSource) Items(ctx context.Context, _ string, loop workflow.Key, from, to int, want func(*workflow.Packed, int) bool) (*workflow.Packed, error) {
	return s.run.Items(ctx, loop, from, to, want)
}

func (s archivedSource) Spec(context.Context, string) ([]byte, error) { return s.run.Spec, nil }
