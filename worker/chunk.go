package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"argosy/workflow"
	"argosy/workflow/spec"
)

const (
	// flushAfter is how long ends of items wait to be reported with those after them: what a
	// dead worker has to be repeated for.
	flushAfter = 100 * time.Millisecond
	// slowItem is what an item takes that is not made to wait for the end of the next one,
	// which may take as long or longer.
	slowItem   = 5 * time.Millisecond
	flushItems = 5_000
	flushBytes = 256 << 10
)

// chunk runs the items of a chunk that have no result yet, one after another, and reports them
// in packs, until they have all ended or the chunk's time is up. Each item is a step like any
// other. The error is ErrLeaseLost or ErrShutdown: the delivery is not over.
func (w *Worker) chunk(ctx, work context.Context, log *slog.Logger, d Delivery, c *Claimed) (err error) {
	r := &chunkRun{w: w, work: work, log: log, d: d, run: c.Run, state: c.Node.Chunk, careful: c.Node.Lost > 0}
	if err := r.open(ctx, c.Digest); err != nil {
		if errors.Is(err, ErrLeaseLost) {
			return err
		}
		// Another worker may do better, and of a run that was stopped the chunk ends with the lease.
		if ctx.Err() == nil {
			log.Warn("a chunk cannot be worked on and is handed back", "hop", "execute", "err", err)
			w.cfg.Pause(ctx, w.cfg.Retry)
		}
		return fmt.Errorf("%w: %w", ErrShutdown, err)
	}
	defer func() { r.traced(err) }()
	ctx = w.traceItems(ctx, c.Run, d)
	log.Debug("chunk starts", "hop", "execute", "from", r.pack.To, "to", r.state.To)
	for i := r.pack.To; i < r.state.To; i++ {
		err := context.Cause(ctx)
		switch {
		case err != nil:
		case r.recorded.Kept(i):
			r.pack.Keep(&r.recorded, i)
		default:
			err = r.item(ctx, i)
		}
		switch {
		case errors.Is(err, ErrStopped):
			return r.flush(true)
		case errors.Is(err, ErrShutdown):
			return errors.Join(err, r.flush(false))
		case err != nil:
			return err
		case w.cfg.Now().Sub(r.began) >= workflow.ChunkTime || w.draining.Load():
			return r.flush(true)
		case i+1 < r.state.To && r.due():
			if err := r.flush(false); err != nil {
				return err
			}
		}
	}
	return r.flush(true)
}

// chunkRun is a chunk under way.
type chunkRun struct {
	w       *Worker
	work    context.Context
	log     *slog.Logger
	d       Delivery
	run     *workflow.Run
	state   *workflow.ChunkState
	careful bool // a worker died with it: each end is reported at once, to know with which item

	plan      *workflow.Plan
	loop      *workflow.Node
	items     *workflow.Items
	recorded  workflow.Packed
	hostIndex byte
	first     int            // the first item that is of this delivery
	pack      *workflow.Pack // ends that were not reported yet
	began     time.Time
	packed    time.Time // when the pack was begun
	bytes     int       // of the pack's extras
}

// open prepares the chunk's items, from the first that has no result.
func (r *chunkRun) open(ctx context.Context, digest string) (err error) {
	if r.plan, err = r.w.plan(ctx, r.log, digest); err != nil {
		return err
	}
	var read *Chunk
	err = r.w.persist(ctx, r.log, "reading the chunk", func(ctx context.Context) (err error) {
		read, err = r.w.queue.Chunk(ctx, r.d, r.state, r.w.cfg.Host)
		return err
	})
	if err != nil {
		return err
	}
	if r.items, err = r.plan.Items(r.run, read.Loop, read.Needs); err != nil {
		return err
	}
	r.loop, r.hostIndex, r.began = read.Loop, read.HostIndex, r.w.cfg.Now()
	r.recorded = read.Recorded
	from := r.state.From
	for from < r.state.To && r.recorded.Has(from) && !r.recorded.Kept(from) {
		from++
	}
	r.first = from
	r.begin(from)
	return nil
}

func (r *chunkRun) begin(from int) {
	r.pack = workflow.NewPack(r.loop, from, r.w.cfg.Host, r.hostIndex)
	r.packed, r.bytes = r.w.cfg.Now(), 0
}

// item runs one item to its end and packs it. The error is ErrLeaseLost or ErrShutdown: it has
// not ended.
func (r *chunkRun) item(ctx context.Context, i int) error {
	item := r.items.Begin(i, workflow.At(r.w.cfg.Now()))
	for leaf := item.Leaf(); leaf != nil; leaf = item.Leaf() {
		if r.state.Poison {
			now := workflow.At(r.w.cfg.Now())
			item.Ended(&workflow.Result{
				Phase: spec.NodeError, Class: "poison", Message: "too many workers died while they ran this step",
				Started: now, Finished: now,
			})
			continue
		}
		result, err := r.w.step(ctx, r.log, r.plan, r.run, leaf, r.d, nil)
		if unreported(err) {
			return err
		}
		result = asResult(result, err)
		item.Ended(&result)
	}
	r.state.Poison = false
	if err := r.pack.Add(item); err != nil {
		return fmt.Errorf("%w: %w", ErrShutdown, err)
	}
	r.bytes += len(r.pack.Extras[i])
	return nil
}

// due says that the pack is to be reported now.
func (r *chunkRun) due() bool {
	items, took := r.pack.To-r.pack.From, r.w.cfg.Now().Sub(r.packed)
	return r.careful || r.bytes >= flushBytes || items >= flushItems || took >= flushAfter || took >= time.Duration(items)*slowItem
}

// flush reports the pack. With end the delivery is over, and the rest of the chunk goes back.
func (r *chunkRun) flush(end bool) error {
	end = end || r.pack.To == r.state.To
	if !end && r.pack.To == r.pack.From {
		return nil
	}
	r.pack.End, r.pack.Micros = end, r.w.cfg.Now().Sub(r.packed).Microseconds()
	err := r.w.handIn(r.work, r.log, func(ctx context.Context) error { return r.w.queue.ReportItems(ctx, r.d, r.pack) })
	if err != nil {
		return fmt.Errorf("%w: reporting items from %d on: %w", ErrLeaseLost, r.pack.From, err)
	}
	r.log.Debug("items ended", "hop", "report", "from", r.pack.From, "to", r.pack.To, "failed", r.pack.Failed, "errors", r.pack.Errors, "end", end)
	r.begin(r.pack.To)
	return nil
}
