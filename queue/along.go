package queue

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// along are the steps that send what a commit sends in the commit's own round trip. What they did
// not send, or nobody knows to be sent, Dispatch sends: the commit has it in the run's out list.
type along struct {
	steps []step
	order []Delivery
}

// sendAlong prepares to send the first deliveries of a commit: whether a lost one is sent anew is
// the commit's to say. Only asynq's script can be made to look whether the commit was accepted, and
// only where one server has both.
func (t *Turns) sendAlong(ctx context.Context, l *Loaded, c *Commit) (along, error) {
	broker, ok := t.broker.(*Asynq)
	if !ok || t.conn.cluster || c.State.Finished != 0 {
		return along{}, nil
	}
	var first []Delivery
	for _, d := range c.Send {
		if d.Number == c.State.FirstDelivery() {
			first = append(first, d)
		}
	}
	steps, order, err := broker.sending(ctx, first, func(e enqueue) step {
		script := t.conn.scripts.learn(asFunction("enqueue", e.source) + t.conn.scripts.along)
		keys, args := append([]string{metaKey(l.Run.ID)}, e.keys...), append([]any{l.Token, l.Version + 1}, e.args...)
		return call(script, keys, args...)
	})
	return along{steps: steps, order: order}, err
}

// sent says what the steps have sent.
func (a along) sent(cmds []*redis.Cmd) map[Delivery]bool {
	sent := make(map[Delivery]bool, len(a.order))
	for i, d := range a.order {
		if cmd := cmds[1+i]; cmd.Err() == nil && asInt(cmd.Val()) == 1 {
			sent[d] = true
		}
	}
	return sent
}
