package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Owned knows of runs that other runs made and own: each goes when its owner has gone. They are
// noted before they are made, so that none is forgotten, and until their owner has gone.
type Owned struct{ conn *Conn }

// NewOwned makes the side of workers.
func NewOwned(c *Conn) *Owned { return &Owned{c} }

const (
	ownedKey = "{owned}:runs" // hash: run -> OwnedRun JSON
	// ownedUnborn is how long after it was noted a run may come to be.
	ownedUnborn = time.Minute
	ownedAtOnce = 500
)

// OwnedRun is a run that another one made.
type OwnedRun struct {
	ID        string `json:"-"`
	Owner     string `json:"o"` // the id of the run that made it
	Namespace string `json:"ns"`
	Name      string `json:"n"`
	Noted     int64  `json:"t"` // millis
}

// Add notes a run that is about to be made.
func (o *Owned) Add(ctx context.Context, r OwnedRun, now time.Time) error {
	r.Noted = now.UnixMilli()
	data, err := json.Marshal(r)
	if err == nil {
		err = o.conn.client.HSet(ctx, ownedKey, r.ID, data).Err()
	}
	if err != nil {
		return fmt.Errorf("noting run %s, which run %s makes: %w", r.ID, r.Owner, err)
	}
	return nil
}

// Sweep has each of them looked at, and forgets the ones that are done, unless they may come to be yet.
func (o *Owned) Sweep(ctx context.Context, now time.Time, look func(context.Context, OwnedRun) (done bool, err error)) error {
	var errs []error
	for cursor := uint64(0); ; {
		found, next, err := o.conn.client.HScan(ctx, ownedKey, cursor, "", ownedAtOnce).Result()
		if err != nil {
			return fmt.Errorf("looking for runs that others own: %w", err)
		}
		for i := 0; i+1 < len(found); i += 2 {
			r := OwnedRun{ID: found[i]}
			err := json.Unmarshal([]byte(found[i+1]), &r)
			done := false
			if err == nil {
				done, err = look(ctx, r)
			}
			if err == nil && done && now.Sub(time.UnixMilli(r.Noted)) >= ownedUnborn {
				err = o.conn.client.HDel(ctx, ownedKey, r.ID).Err()
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("looking at run %s, which another one owns: %w", r.ID, err))
			}
		}
		if cursor = next; cursor == 0 {
			return errors.Join(errs...)
		}
	}
}
