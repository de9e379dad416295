package server

import (
	"context"
	"time"

	"argosy/workflow"
	"argosy/workflow/cron"
)

// Store is where runs are. It reports ErrNotFound, ErrExists and ErrFinished.
type Store interface {
	// Submit accepts a run. It returns ErrExists when another run has its name.
	Submit(ctx context.Context, run *workflow.Run, specJSON []byte) error
	// SubmitOnce is Submit for a run whose id follows from what it is for: one that was
	// submitted before is left alone, also when it is not there any more.
	SubmitOnce(ctx context.Context, run *workflow.Run, specJSON []byte) error
	// Estimate is how long a run is likely to take; nil: nobody knows.
	Estimate(ctx context.Context, run *workflow.Run) (*workflow.Estimate, error)
	// RunID returns the id of the run with that name.
	RunID(ctx context.Context, namespace, name string) (id string, err error)
	// Page returns up to limit of the runs that keep wants, without their nodes, newest
	// first, of a namespace or, if that is empty, of all. after is empty or the next of an
	// earlier page; next is empty on the last page.
	Page(ctx context.Context, namespace, after string, limit int, keep func(*Record) bool) (records []*Record, next string, err error)
	// Head returns a run without its nodes.
	Head(ctx context.Context, id string) (*Record, error)
	// Load returns a run, with its nodes if they have at most so many records.
	Load(ctx context.Context, id string, most int) (*Record, error)
	Source
	// Signal hands the run an event. It returns ErrFinished when the run has ended.
	Signal(ctx context.Context, id string, e workflow.Event) error
	// TakeUp has a run that has ended go on from a state, and with another header unless run is
	// nil. ErrConflict: the run has changed since the record of it.
	TakeUp(ctx context.Context, r *Record, state *workflow.State, run *workflow.Run) error
	Delete(ctx context.Context, id string) error
	// Discard is Delete that waits neither for the run's artifacts to be deleted nor for the archive.
	Discard(ctx context.Context, id string) error
	// Watch returns a channel that gets something after a run changed, once for any number
	// of changes, until ctx ends.
	Watch(ctx context.Context, id string) (<-chan struct{}, error)
	// Fill returns how full the store was a short time ago. With an error comes what was known
	// last.
	Fill(ctx context.Context) (Fill, error)
	// Ping says whether the store answers.
	Ping(ctx context.Context) error
}

// Source is where the nodes of runs are read.
type Source interface {
	// Nodes reads some nodes of a run; one that does not exist is nil or missing.
	Nodes(ctx context.Context, id string, keys []workflow.Key) (map[workflow.Key]*workflow.Node, error)
	// Items reads the records of the items [from, to) of a chunked loop, and what those that
	// are wanted have beside them; nil wants all.
	Items(ctx context.Context, id string, loop workflow.Key, from, to int, want func(*workflow.Packed, int) bool) (*workflow.Packed, error)
	// Spec returns the shared spec JSON of that digest.
	Spec(ctx context.Context, digest string) ([]byte, error)
}

// Crons tells what became of CronWorkflows.
type Crons interface {
	// States returns what is known of those of a namespace, by name.
	States(ctx context.Context, namespace string) (map[string]*cron.State, error)
}

// Fill is how full a store is.
type Fill struct {
	Runs  int       // that have not finished
	Used  int64     // bytes of memory
	Limit int64     // bytes from which on nothing more may be accepted; 0 is no limit
	At    time.Time // when it was so
}

// Record is what a Store knows of a run.
type Record struct {
	Run     *workflow.Run
	Digest  string
	State   workflow.State
	Version int64
	// Nodes, Complete and Held are Load's. Nodes is all of the run's, or, if it is not Complete,
	// empty. Held has the leaves and chunks that a worker has taken.
	Nodes    map[workflow.Key]*workflow.Node
	Complete bool
	Held     map[workflow.Key]bool
	// Archived says that the run is in the archive only. From is where its nodes are read then; nil:
	// only what a list shows is known.
	Archived bool
	From     Source
}

// Logs is where the output of steps is.
type Logs interface {
	// Read returns what the node logged after a position: empty for the start, or an
	// earlier next. Nothing new, also of a node that never logged, is no error.
	Read(ctx context.Context, run *workflow.Run, key workflow.Key, after string) (chunks []Chunk, next string, err error)
}

// Chunk is a piece of a log as it came; it may end within a line.
type Chunk struct {
	At   time.Time
	Data []byte
}
