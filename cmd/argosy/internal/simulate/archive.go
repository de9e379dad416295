package simulate

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"argosy/cmd/argosy/internal/join"
	"argosy/queue"
	"argosy/workflow"
	"argosy/workflow/spec"
)

// archive is where runs go that have ended, in worlds that archive: a store that loses nothing. Of a
// run it has all files that were put, as the last one may be of a life that Redis has lost.
type archive map[string][]archived

// archived is the file of a run.
type archived struct {
	phase spec.WorkflowPhase
	nodes int
}

// dealArchive throws the dice for an archive; nil: there is none.
func dealArchive(seed uint64) archive {
	if rand.New(rand.NewPCG(seed, 5)).IntN(6) > 0 {
		return nil
	}
	return archive{}
}

// archives has a coordinator archive.
func (w *world) archives(p *process, turns *join.Turns) {
	if w.archive == nil {
		return
	}
	turns.Runs, turns.Archive = queue.NewRuns(p.conn), queue.NewArchive(p.conn)
	p.spawn("archiver", func(t *thread) {
		for {
			p.sleep(t, time.Second)
			runs, _ := turns.Archive.Take(context.Background(), 4, 10*time.Second) // the next time comes
			for _, run := range runs {
				if err := w.archiveRun(p, turns.Archive, run); err != nil {
					w.trace(p, "run %s is not archived yet: %v", run, err)
					_ = turns.Archive.Later(context.Background(), run, 2*time.Second)
				}
			}
		}
	})
}

func (w *world) archiveRun(p *process, a *queue.Archive, run string) error {
	write := func(ctx context.Context) (*queue.Dumped, error) {
		nodes := map[string]bool{}
		d, err := a.Dump(ctx, run, func(key string, _ []byte) error {
			if node, ok := strings.CutPrefix(key, "n "); ok {
				nodes[node] = true
			}
			return nil
		})
		if err != nil || d.State.Archiving != workflow.ArchivingPending {
			return d, err
		}
		what := func() string { return "put the file of run " + run }
		if err := p.before(what); err != nil {
			return nil, err
		}
		w.archive[run] = append(w.archive[run], archived{d.State.Phase, len(nodes)})
		w.trace(p, "%s: %s, %d nodes", what(), d.State.Phase, len(nodes))
		return d, p.after(what)
	}
	return join.Archive(context.Background(), a, run, write, func(*workflow.Run, *workflow.State) map[string]string { return nil })
}

// goes looks at a run that is removed: not before it is archived, if it had ended when that was asked for.
func (v *watch) goes(r *runWatch) {
	if v.w.archive == nil || !r.finished || r.tick != 0 {
		return
	}
	asked := v.w.job(r.id).asked
	if is := (archived{r.phase, len(r.nodes)}); r.ended.Before(asked) && !slices.Contains(v.w.archive[r.id], is) {
		v.violated("no run goes before it is archived", "run %s was removed as %+v, and its files are %+v", r.id, is, v.w.archive[r.id])
	}
}

// archiving says that something still waits for the archive.
func (w *world) archiving() bool { return w.server.Has("{archive}:due") }

// inArchive says what is wrong with a run in the archive.
func (w *world) inArchive(r *runWatch, s *workflow.State) error {
	if w.archive == nil {
		return nil
	}
	switch is := (archived{s.Phase, len(r.nodes)}); {
	case s.Archiving != workflow.ArchivingArchived:
		return fmt.Errorf("its way to the archive ended at %q", s.Archiving)
	case !slices.Contains(w.archive[r.id], is):
		return fmt.Errorf("it ended as %+v, and its files are %+v", is, w.archive[r.id])
	case w.server.Field("archived:{argo}", r.id) == "":
		return fmt.Errorf("the archive has no row of it")
	}
	return nil
}
