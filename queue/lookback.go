package queue

import (
	"context"
	"fmt"
	"time"
)

// lookBackAfter is when a run that got no next turn is looked at once more. A crash of Redis
// can take back what it was told in its last two seconds, or on a cluster that of one slot
// and not of another: the commit that ended the run may be gone when nobody looks after the
// run any more.
const lookBackAfter = 5 * time.Second

// restFor is when a run is looked at that waits for somebody, and only for that: a crash of a
// cluster's node can take back the ring for what somebody asked, and not what he asked.
const restFor = 10 * time.Minute

// lookBack makes sure that runs of a shard have ended indeed, or are gone, and rings for
// those that have not.
func (t *Turns) lookBack(ctx context.Context, k int, runs []any) error {
	looks := make([]step, 0, 2*len(runs))
	for _, r := range runs {
		looks = append(looks, command("hexists", metaKey(asString(r)), "fin"), command("exists", runKey(asString(r))))
	}
	cmds, err := t.conn.together(ctx, looks...)
	if err != nil {
		return fmt.Errorf("looking whether %d runs have ended: %w", len(runs), err)
	}
	var steps []step
	for i, r := range runs {
		if asInt(cmds[2*i].Val()) == 0 && asInt(cmds[2*i+1].Val()) == 1 {
			t.conn.log.Info("a run that has not ended is looked at: it waits for somebody, or its end was lost", "run", asString(r))
			steps = append(steps, t.conn.ring(asString(r)))
		}
	}
	steps = append(steps, command("zrem", endedKey(k), runs...))
	if _, err := t.conn.inOrder(ctx, steps...); err != nil {
		return fmt.Errorf("ringing for %d runs that have not ended: %w", len(steps)-1, err)
	}
	return nil
}
