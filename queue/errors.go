package queue

import (
	"errors"
	"fmt"
)

var (
	// ErrExists says that another run or object has the name.
	ErrExists = errors.New("the name is taken")
	// ErrNotFound says that there is no such run or object.
	ErrNotFound = errors.New("no such run or object")
	// ErrConflict says that an object has changed since it was read.
	ErrConflict = errors.New("the object has been changed meanwhile")
	// ErrFinished says that the run has ended and takes no more turns or signals.
	ErrFinished = errors.New("the run has finished")
	// ErrExpired says that the run has ended long ago and is to be deleted.
	ErrExpired = errors.New("the run has expired")
	// ErrFenced says that somebody else has gone on with the run or the delivery: what was
	// to be written must be dropped.
	ErrFenced = errors.New("superseded")
)

// Refusal tells why a delivery must not be run.
type Refusal string

// The refusals of Tasks.Claim.
const (
	RefusedGone       Refusal = "gone"       // the run was deleted
	RefusedEnded      Refusal = "ended"      // the node has ended, or was cancelled before its start
	RefusedSuperseded Refusal = "superseded" // a later delivery of the node was sent
	RefusedLeased     Refusal = "leased"     // another worker holds this very delivery
	RefusedCancelled  Refusal = "cancelled"  // the run was asked to stop: its lease passed since, or it is this worker's
)

// Refused is the error of a claim that must not be run: drop the delivery.
type Refused struct {
	Delivery Delivery
	Reason   Refusal
}

func (e *Refused) Error() string {
	return fmt.Sprintf("delivery %s is refused: %s", e.Delivery.ID(), e.Reason)
}
