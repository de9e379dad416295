package queue

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"argosy/workflow"
)

// Logs keeps the end of each step's log while it runs, for those who follow it. The whole
// log goes elsewhere.
type Logs struct{ conn *Conn }

// NewLogs makes the live logs.
func NewLogs(c *Conn) *Logs { return &Logs{conn: c} }

const (
	logBytes   = 1 << 20
	logEntries = 2000
	logTTL     = 24 * time.Hour
	logRead    = 64 // entries read at once
)

// Append adds to the log of a node. It keeps the last MiB, in at most 2,000 pieces, for a
// day after the last one.
func (l *Logs) Append(ctx context.Context, run string, k workflow.Key, data []byte) error {
	if len(data) == 0 {
		return nil
	}
	if len(data) > logBytes {
		data = data[len(data)-logBytes:]
	}
	_, err := l.conn.run(ctx, l.conn.scripts.log, []string{logKey(run, k), logsKey(run)},
		data, logBytes, logEntries, int(logTTL.Seconds()))
	if err != nil {
		return fmt.Errorf("appending to the log of node %q of run %s: %w", k, run, err)
	}
	return nil
}

// LogEntry is what one Append added, as far as it was kept.
type LogEntry struct {
	At   time.Time // by Redis's clock
	Data []byte
}

// Read returns what follows a position ("": the start) and the position after it. Where
// there is nothing yet it waits for it, at most for wait and 5 s, and returns nothing then.
func (l *Logs) Read(ctx context.Context, run string, k workflow.Key, from string, wait time.Duration) ([]LogEntry, string, error) {
	if from == "" {
		from = "0"
	}
	block := min(wait, maxBlock)
	if block <= 0 {
		block = -1 // does not block
	}
	// go-redis waits for a blocking read by the read timeout, and cannot be interrupted.
	got := make(chan struct{})
	var streams []redis.XStream
	var err error
	go func() {
		defer close(got)
		streams, err = l.conn.client.XRead(context.WithoutCancel(ctx), &redis.XReadArgs{
			Streams: []string{logKey(run, k), from}, Count: logRead, Block: block,
		}).Result()
	}()
	select {
	case <-got:
	case <-ctx.Done():
		return nil, from, ctx.Err()
	}
	if errors.Is(err, redis.Nil) {
		return nil, from, nil
	} else if err != nil {
		return nil, from, fmt.Errorf("reading the log of node %q of run %s: %w", k, run, err)
	}
	var entries []LogEntry
	for _, s := range streams {
		for _, m := range s.Messages {
			at, err := idTime(m.ID)
			if err != nil {
				return nil, from, fmt.Errorf("reading the log of node %q of run %s: %w", k, run, err)
			}
			entries = append(entries, LogEntry{At: at, Data: []byte(asString(m.Values["d"]))})
			from = m.ID
		}
	}
	return entries, from, nil
}

// idTime is the time in the id of a stream's entry, millis-sequence.
func idTime(id string) (time.Time, error) {
	millis, _, _ := strings.Cut(id, "-")
	n, err := strconv.ParseInt(millis, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("reading the time of entry %s: %w", id, err)
	}
	return time.UnixMilli(n).UTC(), nil
}
