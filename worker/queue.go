package worker

import (
	"context"
	"errors"
	"time"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// Delivery names one sending of a leaf to a worker.
type Delivery struct {
	Run string // the run's uid
	Key workflow.Key
	N   int // counts from 1
}

// Claimed is what a claim gives the worker.
type Claimed struct {
	Run    *workflow.Run
	Digest string // of the run's spec
	Node   *workflow.Node
}

// Chunk is what running a chunk takes beside its record.
type Chunk struct {
	Loop      *workflow.Node
	Needs     map[workflow.Key]*workflow.Node // workflow.ItemNeeds
	Recorded  workflow.Packed                 // what an earlier delivery left
	HostIndex byte                            // see workflow.NewPack
}

// Lease tells how a delivery's lease stands after a renewal.
type Lease int

// States of a lease.
const (
	LeaseHeld      Lease = iota // renewed
	LeaseCancelled              // renewed, and the run wants the step ended
	LeaseLost                   // somebody else's, or nobody's: drop the work
	LeaseOver                   // its run has ended, or was deleted: end the work, nobody asks for it
	LeaseServes                 // renewed, and the run was told that the daemon is ready
)

// ErrRefused says that a delivery is not to be worked on: it ended, was sent anew, or is
// leased to another worker.
var ErrRefused = errors.New("the claim was refused")

// Queue is what a worker needs of the queue.
type Queue interface {
	// Serve takes deliveries, one for each free slot, and calls handle for each, until ctx
	// ends. It returns when the last handle has. A delivery is done with when its handle
	// returns: one that was neither claimed nor reported is for the coordinator to find.
	Serve(ctx context.Context, handle func(Delivery)) error
	// Claim leases the delivery to the worker. It returns ErrRefused for one that must not
	// be worked on; any other error is trouble on the way, worth another try.
	Claim(ctx context.Context, d Delivery, worker string, lease time.Duration) (*Claimed, error)
	// Renew extends the leases in one go. Its answer is parallel to ds.
	Renew(ctx context.Context, worker string, ds []Delivery, lease time.Duration) ([]Lease, error)
	// Report hands in a result. It returns ErrLeaseLost if the delivery was superseded.
	Report(ctx context.Context, d Delivery, r workflow.Result) error
	// Ready tells that a daemon is ready, whose delivery goes on; ErrLeaseLost as for Report.
	Ready(ctx context.Context, d Delivery, r workflow.Ready) error
	// Waits tells what a delivery waits for before it starts, "" once it does; ErrLeaseLost as for
	// Report.
	Waits(ctx context.Context, d Delivery, message string) error
	// Tells tells what a leaf that is under way says of its progress; ErrLeaseLost: it is not.
	Tells(ctx context.Context, run string, key workflow.Key, p spec.Progress) error
	// Chunk reads what running a claimed chunk takes beside its record, for a worker on a
	// host. ErrLeaseLost: the run is gone.
	Chunk(ctx context.Context, d Delivery, c *workflow.ChunkState, host string) (*Chunk, error)
	// ReportItems hands in how items of a chunk ended; ErrLeaseLost as for Report. The
	// delivery goes on unless the pack says that it is over.
	ReportItems(ctx context.Context, d Delivery, p *workflow.Pack) error
	// Release gives a lease up, so that the step is soon delivered to another worker.
	Release(ctx context.Context, d Delivery, worker string) error
}

// SpecSource has the specs that runs share.
type SpecSource interface {
	Spec(ctx context.Context, digest string) ([]byte, error)
}
