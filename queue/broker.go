package queue

import "context"

// Broker carries deliveries from coordinators to workers, at least once each: those of a
// higher class first, unless a lower one was passed over for long, and those of one class in
// no promised order. It decides nothing: whether a delivery may be run is Tasks.Claim's to say.
// Every implementation passes queuetest.TestBroker.
type Broker interface {
	// Send hands deliveries over and rings the bells of their pools. A delivery that is
	// there already is not sent a second time, and is no error.
	Send(ctx context.Context, deliveries []Delivery) error
	// States says what has become of deliveries, in their order.
	States(ctx context.Context, deliveries []Delivery) ([]TaskState, error)
	// Serve hands deliveries to the handler, Slots at a time, until ctx ends; then it takes
	// no more and returns when every handler has. A delivery is acknowledged when its
	// handler returns.
	Serve(ctx context.Context, c ServeConfig, handle Handler) error
}

// Handler runs a delivery. Its context is ServeConfig.Work.
type Handler func(ctx context.Context, d Delivery)

// ServeConfig says what a worker serves.
type ServeConfig struct {
	Pool  string
	Slots int
	// Work is the context that handlers run under. It outlives the one that ends the taking
	// of work. nil is context.Background.
	Work context.Context
}

// TaskState is where a broker has a delivery.
type TaskState int

// The states of a delivery at a broker.
const (
	TaskAbsent TaskState = iota // never sent, lost, or acknowledged
	TaskQueued                  // waits for a worker
	TaskTaken                   // a worker took it and has not acknowledged it
)
