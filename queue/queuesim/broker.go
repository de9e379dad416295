package queuesim

import (
	"context"
	"slices"
	"sync"

	"argosy/queue"
)

// Broker is the model of a queue.Broker. By itself it keeps what it is given and hands it
// out by class and in order, each once, as asynq does while nothing fails. A simulation has it fail:
// Lose, Copy, Return, and takes in any order.
type Broker struct {
	mu       sync.Mutex
	changed  *sync.Cond // for Serve
	messages []Message
	last     int
}

// Message is a delivery that the broker has.
type Message struct {
	ID       int // names it, among all that the broker ever had
	Delivery queue.Delivery
	Taken    bool
}

// NewBroker makes an empty one.
func NewBroker() *Broker {
	b := &Broker{}
	b.changed = sync.NewCond(&b.mu)
	return b
}

// Send is part of queue.Broker.
func (b *Broker) Send(_ context.Context, deliveries []queue.Delivery) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, d := range deliveries {
		if !slices.ContainsFunc(b.messages, func(m Message) bool { return m.Delivery == d }) {
			b.add(d)
		}
	}
	b.changed.Broadcast()
	return nil
}

func (b *Broker) add(d queue.Delivery) {
	b.last++
	b.messages = append(b.messages, Message{ID: b.last, Delivery: d})
}

// States is part of queue.Broker.
func (b *Broker) States(_ context.Context, deliveries []queue.Delivery) ([]queue.TaskState, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	states := make([]queue.TaskState, len(deliveries))
	for i, d := range deliveries {
		for _, m := range b.messages {
			if m.Delivery != d {
				continue
			}
			if states[i] = queue.TaskTaken; !m.Taken {
				states[i] = queue.TaskQueued
				break
			}
		}
	}
	return states, nil
}

// Serve is part of queue.Broker.
func (b *Broker) Serve(ctx context.Context, c queue.ServeConfig, handle queue.Handler) error {
	work := c.Work
	if work == nil {
		work = context.Background()
	}
	stop := context.AfterFunc(ctx, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.changed.Broadcast()
	})
	defer stop()
	var slots sync.WaitGroup
	for range c.Slots {
		slots.Go(func() {
			for {
				m, ok := b.await(ctx, c.Pool)
				if !ok {
					return
				}
				handle(work, m.Delivery)
				b.Acknowledge(m.ID)
			}
		})
	}
	slots.Wait()
	return nil
}

// await takes the next message of a pool; false when ctx ends.
func (b *Broker) await(ctx context.Context, pool string) (Message, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for ctx.Err() == nil {
		for _, c := range queue.Classes() {
			for _, m := range b.messages {
				if !m.Taken && m.Delivery.Pool == pool && m.Delivery.Class == c {
					return b.take(m.ID)
				}
			}
		}
		b.changed.Wait()
	}
	return Message{}, false
}

// Messages returns what the broker has, in the order in which it came. Those of before stay
// as they are.
func (b *Broker) Messages() []Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.messages)
}

// Take hands a message out; false if somebody has it or it is gone.
func (b *Broker) Take(id int) (Message, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.take(id)
}

func (b *Broker) take(id int) (Message, bool) {
	i := b.find(id)
	if i < 0 || b.messages[i].Taken {
		return Message{}, false
	}
	b.messages[i].Taken = true
	return b.messages[i], true
}

func (b *Broker) find(id int) int {
	return slices.IndexFunc(b.messages, func(m Message) bool { return m.ID == id })
}

// Acknowledge ends a message that was taken. A broker that lost it in the meantime does not
// mind.
func (b *Broker) Acknowledge(id int) { b.Lose(id) }

// Lose drops a message, as a crash of the broker's store may.
func (b *Broker) Lose(id int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := b.find(id); i >= 0 {
		b.messages = slices.Delete(b.messages, i, i+1)
	}
	b.changed.Broadcast()
}

// Copy has a message delivered once more than it was sent.
func (b *Broker) Copy(id int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := b.find(id); i >= 0 {
		b.add(b.messages[i].Delivery)
	}
	b.changed.Broadcast()
}

// Return puts a message that was taken back, as asynq does when it hears nothing more of
// whoever took it.
func (b *Broker) Return(id int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := b.find(id); i >= 0 {
		b.messages[i].Taken = false
	}
	b.changed.Broadcast()
}

// Restore makes the broker have what Messages returned: what happened since is lost.
func (b *Broker) Restore(messages []Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.messages = slices.Clone(messages)
	b.changed.Broadcast()
}
