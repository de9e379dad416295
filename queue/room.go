package queue

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Room knows how full Redis is, as of a moment ago. Redis must not run into its own maxmemory:
// it would refuse what workers report, too. So there is a limit below it, from which on nothing
// more is accepted, and a little above that nothing new is started; what is in flight then
// still finds room to end.
type Room struct {
	conn  *Conn
	limit int64
	now   func() time.Time

	reading sync.Mutex // held by the one that reads anew; the others go by what is known
	mu      sync.Mutex
	at      time.Time
	fill    Fill
}

// Fill is how full Redis is.
type Fill struct {
	Runs   int    // that have not finished
	Used   int64  // bytes; of a cluster's servers, the one that is nearest to its limit
	Limit  int64  // bytes from which on nothing more is accepted; 0 is no limit
	Policy string // Redis's maxmemory-policy if it has a maxmemory, else ""
	At     time.Time
}

// Full says that Redis should not be given more work.
func (f Fill) Full() bool { return f.Limit > 0 && f.Used >= f.Limit }

// Tight says that work that Redis has should not be started either.
func (f Fill) Tight() bool { return f.Limit > 0 && f.Used >= f.Limit+f.Limit/10 }

// Evicts says that Redis would drop keys, and runs with them, when it is full.
func (f Fill) Evicts() bool { return f.Policy != "" && f.Policy != "noeviction" }

const (
	// fillFresh is how long what was read counts.
	fillFresh = time.Second
	// limitPercent is the limit as a part of Redis's maxmemory, unless one is given.
	limitPercent = 80
)

// NewRoom makes a view on how full Redis is. A limit in bytes of 0 is 80 % of Redis's own
// maxmemory, and none if it has none.
func NewRoom(c *Conn, limit int64) *Room { return &Room{conn: c, limit: limit, now: time.Now} }

// Fill returns how full Redis is. With an error comes what was known last: no limit, if
// nothing ever was.
func (r *Room) Fill(ctx context.Context) (Fill, error) {
	r.mu.Lock()
	known, first := r.fill, r.at.IsZero()
	due := first || r.now().Sub(r.at) >= fillFresh
	r.mu.Unlock()
	switch {
	case !due:
		return known, nil
	case first:
		r.reading.Lock()
	case !r.reading.TryLock():
		return known, nil
	}
	defer r.reading.Unlock()
	read, err := r.read(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at = r.now() // also after an error: not every caller must wait for Redis
	if err == nil {
		r.fill = read
		r.fill.At = r.at
	}
	return r.fill, err
}

func (r *Room) read(ctx context.Context) (Fill, error) {
	steps := make([]step, shards)
	for k := range steps {
		steps[k] = command("zcard", dueKey(k))
	}
	cmds, err := r.conn.together(ctx, steps...)
	if err != nil {
		return Fill{}, fmt.Errorf("counting the runs that have not finished: %w", err)
	}
	var f Fill
	for _, cmd := range cmds {
		f.Runs += int(asInt(cmd.Val()))
	}
	var mu sync.Mutex
	err = each(ctx, r.conn.client, func(ctx context.Context, server redis.UniversalClient) error {
		text, err := server.Info(ctx, "memory").Result()
		if err != nil {
			if strings.Contains(err.Error(), "is not supported") { // the one in memory has none
				return nil
			}
			return err
		}
		one := r.parse(text)
		mu.Lock()
		defer mu.Unlock()
		if f.Used == 0 || nearer(one, f) {
			f.Used, f.Limit, f.Policy = one.Used, one.Limit, one.Policy
		}
		return nil
	})
	if err != nil {
		return Fill{}, fmt.Errorf("asking for Redis's memory: %w", err)
	}
	return f, nil
}

// parse reads an INFO memory.
func (r *Room) parse(info string) Fill {
	values := map[string]string{}
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		values[name] = value
	}
	number := func(name string) int64 {
		n, _ := strconv.ParseInt(values[name], 10, 64) // what is missing is 0
		return n
	}
	f := Fill{Used: number("used_memory"), Limit: r.limit}
	if most := number("maxmemory"); most > 0 {
		f.Policy = values["maxmemory_policy"]
		if f.Limit == 0 {
			f.Limit = most / 100 * limitPercent
		}
	}
	return f
}

// nearer says that a is nearer to its limit than b.
func nearer(a, b Fill) bool {
	if a.Limit == 0 || b.Limit == 0 {
		return a.Limit > b.Limit || a.Limit == b.Limit && a.Used > b.Used
	}
	return float64(a.Used)/float64(a.Limit) > float64(b.Used)/float64(b.Limit)
}
