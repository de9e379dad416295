package queue

import (
	"context"
	"encoding/json"
	"fmt"

	"argosy/workflow"
)

// PlaceLimits bound how many runs may be under way at once; 0 is no bound.
type PlaceLimits struct {
	All  int            `json:"all"`
	Each int            `json:"each"` // in a namespace
	Of   map[string]int `json:"of"`   // in these namespaces, in place of Each
}

// SetPlaces says how many runs may be under way at once. Those that may begin now are told;
// nobody loses his place.
func (l *Locks) SetPlaces(ctx context.Context, p PlaceLimits) error {
	if p.Of == nil {
		p.Of = map[string]int{}
	}
	data, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encoding limits: %w", err)
	}
	if err := l.place(ctx, "limits", "", Ordering{}, "", "", "", data); err != nil {
		return fmt.Errorf("setting how many runs may be under way: %w", err)
	}
	return nil
}

// doPlace does what a turn of a run has committed about its place.
func (l *Locks) doPlace(ctx context.Context, run *workflow.Run, turn *Ordering, o *workflow.Orders, sort string) error {
	what := o.Place
	switch {
	case what == "":
		return nil
	case what == workflow.LockHold && o.All:
		what = "keep"
	}
	turn.Done++
	return l.place(ctx, what, run.ID, *turn, keyOfLife(workflow.RunPlace, o.Life), run.Namespace, sort, nil)
}

// place calls place.lua, and tells those that were given a place.
func (l *Locks) place(ctx context.Context, what, run string, turn Ordering, k workflow.Key, namespace, sort string, limits []byte) error {
	for {
		keys := []string{placesPrefix}
		if run != "" && !l.conn.cluster {
			keys = append(keys, metaKey(run), runKey(run))
		}
		v, err := l.conn.run(ctx, l.conn.scripts.place, keys, what, run, turn.Token, string(k), namespace, sort, limits, turn.Version, turn.Done)
		if err != nil {
			return err
		}
		answer, ok := v.([]any)
		if !ok {
			return ErrFenced
		}
		all := make([]told, 0, len(answer)/2)
		for i := 1; i+1 < len(answer); i += 2 {
			all = append(all, answerOf(answer[i:i+2]))
		}
		if err := l.tell(ctx, all); err != nil {
			return err
		}
		if asInt(answer[0]) == 0 {
			return nil
		}
		what, run, turn, k, limits = "", "", Ordering{}, "", nil
	}
}
