package coordinator

import (
	"context"
	"errors"
	"time"

	"argosy/workflow"
	"argosy/workflow/spec"
)

var (
	// ErrGone says that the claimed run takes no more turns: it was deleted or has ended.
	ErrGone = errors.New("the run takes no more turns")
	// ErrFenced says that somebody else has gone on with the run.
	ErrFenced = errors.New("the run has gone on without this turn")
)

// Store is where runs live.
type Store interface {
	Specs
	// Claim takes what is due, a Turn or a CronTurn, or waits for it. Nil says that none came.
	Claim(ctx context.Context, wait time.Duration) (Claimed, error)
	// Slots counts the slots of a pool's workers, a short time ago: 0 when there are none. With
	// an error comes what was known last.
	Slots(ctx context.Context, pool string) (int, error)
	// Tight says that the store has little room left, a short time ago: what is in flight
	// may end, and nothing new should start. With an error comes what was known last.
	Tight(ctx context.Context) (bool, error)
	// ConfigMap reads one of a namespace; nil if it does not exist.
	ConfigMap(ctx context.Context, namespace, name string) (*workflow.ConfigMap, error)
	// SyncLimit reads the limit of a namespace's semaphore; nil if it has none.
	SyncLimit(ctx context.Context, namespace, key string) (*workflow.SyncLimit, error)
}

// Claimed is something that is this coordinator's for the time of a lease.
type Claimed interface {
	// Extend makes the lease last longer. ErrFenced: another has taken it. It is called while
	// other methods are.
	Extend(ctx context.Context) error
}

// Turn is a claimed run.
type Turn interface {
	Claimed
	// Begin takes the run's fencing token and loads it. ErrGone ends the turn.
	Begin(ctx context.Context) (*Loaded, error)
	// Nodes loads more nodes; nil for one that does not exist.
	Nodes(ctx context.Context, keys []workflow.Key) (map[workflow.Key]*workflow.Node, error)
	// Whole loads every node.
	Whole(ctx context.Context) (map[workflow.Key]*workflow.Node, error)
	// From loads every node of another run, the turn's Origin; none if it is gone.
	From(ctx context.Context, run string) (map[workflow.Key]*workflow.Node, error)
	// Outputs loads what View.Outputs holds of a chunked loop.
	Outputs(ctx context.Context, loop workflow.Key) (map[int][]byte, error)
	// Save keeps memoized outputs. It comes before the commit: they are what they are, whatever
	// becomes of the turn.
	Save(ctx context.Context, saves []workflow.MemoSave) error
	// Commit writes what the turn decided, all or nothing; ErrFenced drops it. It returns
	// what is to be dispatched.
	Commit(ctx context.Context, c *Commit) ([]Delivery, error)
	// Reopen takes back the records of a chunked loop's items that run again, before the Commit
	// that says so; ErrFenced.
	Reopen(ctx context.Context, r workflow.Reopen) error
	// Copy takes over the records of a chunked loop's items from another run, as Reopen.
	Copy(ctx context.Context, from string, c workflow.Copy) error
	// Dispatch sends deliveries to their pools.
	Dispatch(ctx context.Context, d []Delivery) error
	// Order does what was committed as Orders, by this turn or by an earlier one that may not
	// have done it. Answers come back as events. ErrFenced: a later turn has.
	Order(ctx context.Context) error
	// Settle ends the turn.
	Settle(ctx context.Context, s Settlement) error
}

// Settlement ends a turn.
type Settlement struct {
	Sent    int      // deliveries that were dispatched
	Waiting *Waiting // what the pool is told that waits; nil tells nothing
	// Again has the run take another turn after this time at the latest; 0 leaves that to
	// what happens to it.
	Again time.Duration
}

// Waiting is what a run could start in a pool and has no credit for.
type Waiting struct {
	Pool string
	N    int
}

// Loaded is what a turn starts from.
type Loaded struct {
	Run      *workflow.Run
	Digest   string
	State    workflow.State
	Now      workflow.Millis // the store's clock
	Events   []workflow.Event
	Unread   bool                            // there may be more of them, for a later turn
	Nodes    map[workflow.Key]*workflow.Node // every one when Complete
	Complete bool
	Lost     []Lost     // deliveries that nobody will report
	Out      []Delivery // committed by an earlier turn, perhaps not dispatched
}

// Delivery is one sending of a node to a pool. Its number counts from 1.
type Delivery struct {
	Run    string
	Key    workflow.Key
	Number int
	Pool   string
	Class  Class
}

// Class ranks a delivery among those of its pool.
type Class int

// The classes, from the highest to the lowest.
const (
	ClassHigh Class = iota - 1
	ClassNormal
	ClassBulk
)

func (c Class) String() string {
	switch c {
	case ClassHigh:
		return "high"
	case ClassBulk:
		return "bulk"
	}
	return "normal"
}

// Lost is a delivery whose worker died, or that the queue lost.
type Lost struct {
	Delivery
	Worker string // that died with it; "" if none did, or it was handed back
}

// Commit is what a turn decided.
type Commit struct {
	State *workflow.State
	Nodes []*workflow.Node
	Gone  []workflow.Key // records to remove
	// Wipe are chunked loops whose items' records are to be removed, Forget leaves whose logs are,
	// and Reopen what is to be reopened before.
	Wipe, Forget []workflow.Key
	Reopen       []workflow.Reopen
	Copy         []workflow.Copy // from the run's Origin, before Reopen
	Send         []Delivery
	Drop         []workflow.Key // nodes whose lost delivery is given up
	Timers       []workflow.Timer
	Cancel       *Cancel        // end everything in flight, but for Send
	Late         []workflow.Key // leaves to end by themselves
	End          []workflow.Key // daemons to end, which the run does not wait for
	More         bool           // take another turn at once
	// Metrics are what the run emits, once this is committed.
	Metrics []workflow.Emission
	// Expires is when the run, which has ended, is to be deleted; 0 is never.
	Expires workflow.Millis
	Orders  *workflow.Orders
	Saves   []workflow.MemoSave // what Save is to keep
	// Waiting is how much more of the run could start if it had more credit.
	Waiting int
}

// Cancel is how deliveries end that no worker had claimed.
type Cancel struct {
	Phase     spec.NodePhase
	Message   string
	SpareExit bool // leave what belongs to exit handlers alone
}
