package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/labels"

	"argosy/cmd/argosy/internal/join"
	"argosy/queue"
	"argosy/server"
	"argosy/workflow"
)

// archiveFlags say which runs are archived, and for how long.
type archiveFlags struct {
	on       bool
	ttl      string
	selector string
	store    *storeFlags
	files    archiveFiles  // once there are parts
	keep     time.Duration // 0 is for ever
	which    labels.Selector
}

func (f *archiveFlags) register(flags *pflag.FlagSet) {
	flags.BoolVar(&f.on, "archive", false, "keep runs that have ended also in the artifact store, where they are found when they are deleted; the same for all coordinators")
	flags.StringVar(&f.ttl, "archive-ttl", "", "how long after their end archived runs are kept, such as 12h or 30d; default: until somebody deletes them")
	flags.StringVar(&f.selector, "archive-label-selector", "", "labels of the runs that are archived; default: all")
}

func (f *archiveFlags) check() error {
	if !f.on && (f.ttl != "" || f.selector != "") {
		return usagef("--archive-ttl and --archive-label-selector are for --archive")
	}
	var err error
	if f.ttl != "" {
		if f.keep, err = parseAge("archive-ttl", f.ttl); err != nil {
			return err
		}
		if f.keep <= 0 {
			return usagef("--archive-ttl: expected a positive duration")
		}
	}
	if f.which, err = labels.Parse(f.selector); err != nil {
		return usagef("--archive-label-selector: %w", err)
	}
	return nil
}

// wanted says which runs are archived; nil: none.
func (f *archiveFlags) wanted() func(*workflow.Run, *workflow.State) bool {
	if !f.on {
		return nil
	}
	return func(run *workflow.Run, state *workflow.State) bool {
		return f.which.Matches(labels.Set(server.Labels(run, state)))
	}
}

func (f *archiveFlags) queue(r *role) *queue.Archive {
	if !f.on {
		return nil
	}
	return queue.NewArchive(r.conn)
}

// origins opens archived runs, for others that take over what succeeded in them.
func (f *archiveFlags) origins(r *role) func(context.Context, string) (*queue.ArchivedRun, error) {
	if !f.on {
		return nil
	}
	return func(ctx context.Context, id string) (*queue.ArchivedRun, error) {
		row, err := queue.NewArchive(r.conn).Row(ctx, "", id)
		if err != nil {
			return nil, err
		}
		return f.files.open(ctx, row.Run.Namespace, id)
	}
}

// parts archive, if that is wanted.
func (f *archiveFlags) parts(r *role) ([]part, error) {
	if !f.on {
		return nil, nil
	}
	store, err := f.store.store()
	if err != nil {
		return nil, err
	}
	f.files = archiveFiles{store}
	a := &archiver{archive: queue.NewArchive(r.conn), runs: queue.NewRuns(r.conn), files: f.files, keep: f.keep, log: r.log}
	return []part{{"archiver", a.run}}, nil
}

// archiver writes runs that have ended to the artifact store, and removes those from there that are old.
type archiver struct {
	archive *queue.Archive
	runs    *queue.Runs
	files   archiveFiles
	keep    time.Duration
	log     *slog.Logger
}

const (
	archiveEvery  = time.Second
	archiveSweep  = time.Minute
	archiveAtOnce = 8
	archiveTaken  = 64               // runs that are taken in one go
	archiveLease  = time.Minute      // how long nobody else archives them
	archiveRenew  = 20 * time.Second // while one takes long
	archiveRetry  = 15 * time.Second // after a failure
	archiveSwept  = 200              // old runs that are removed in one go
)

func (a *archiver) run(take, _ context.Context) error {
	tick := time.NewTicker(archiveEvery)
	defer tick.Stop()
	var swept time.Time
	for {
		select {
		case <-take.Done():
			return nil
		case <-tick.C:
		}
		for a.step(take) && take.Err() == nil {
		}
		if time.Since(swept) >= min(archiveSweep, max(a.keep/10, archiveEvery)) {
			swept = time.Now()
			if err := a.sweep(take); err != nil && take.Err() == nil {
				a.log.Warn("old runs stay in the archive", "hop", "store", "err", err)
			}
		}
	}
}

// step archives the runs whose time has come, and says whether there may be more.
func (a *archiver) step(ctx context.Context) bool {
	runs, err := a.archive.Take(ctx, archiveTaken, archiveLease)
	if err != nil {
		if ctx.Err() == nil {
			a.log.Warn("runs are not archived", "hop", "store", "err", err)
		}
		return false
	}
	var g errgroup.Group
	g.SetLimit(archiveAtOnce)
	for _, run := range runs {
		g.Go(func() error {
			err := a.one(ctx, run)
			if err == nil || ctx.Err() != nil {
				return nil
			}
			a.log.Warn("a run is not archived yet", "hop", "store", "run", run, "err", err)
			if err := a.archive.Later(ctx, run, archiveRetry); err != nil {
				a.log.Warn("a run is not archived yet", "hop", "store", "run", run, "err", err)
			}
			return nil
		})
	}
	_ = g.Wait() // each has said what was wrong
	return len(runs) == archiveTaken
}

// one archives a run.
func (a *archiver) one(ctx context.Context, id string) error {
	ctx, done := context.WithCancel(ctx)
	defer done()
	go a.renew(ctx, id)
	write := func(ctx context.Context) (*queue.Dumped, error) { return a.files.write(ctx, a.archive, id) }
	if err := join.Archive(ctx, a.archive, id, write, server.Labels); err != nil {
		return err
	}
	a.log.Debug("archived", "hop", "store", "run", id)
	return nil
}

// renew keeps others from a run that takes long.
func (a *archiver) renew(ctx context.Context, id string) {
	tick := time.NewTicker(archiveRenew)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := a.archive.Later(ctx, id, archiveLease); err != nil && ctx.Err() == nil {
				a.log.Warn("another may archive a run, too", "hop", "store", "run", id, "err", err)
			}
		}
	}
}

// sweep removes what is old.
func (a *archiver) sweep(ctx context.Context) error {
	if a.keep <= 0 {
		return nil
	}
	now, err := a.archive.Now(ctx)
	if err != nil {
		return err
	}
	namespaces, err := a.runs.Namespaces(ctx)
	if err != nil {
		return err
	}
	for _, ns := range namespaces {
		for {
			old, err := a.archive.EndedBefore(ctx, ns, now-workflow.Millis(a.keep.Milliseconds()), archiveSwept)
			if err != nil {
				return err
			}
			for _, id := range old {
				if err := a.files.remove(ctx, a.archive, ns, id); err != nil {
					return err
				}
				a.log.Debug("an archived run is gone, since its time has come", "hop", "store", "run", id, "namespace", ns)
			}
			if len(old) < archiveSwept {
				break
			}
		}
	}
	return nil
}
