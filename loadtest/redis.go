package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// redisConfig is how every row's Redis is run: every second is on disk.
var redisConfig = []string{"--save", "", "--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction"}

// redisInfo asks a Redis for a section of INFO.
func redisInfo(ctx context.Context, addr, section string) (map[string]string, error) {
	conn, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("asking Redis for %s: %w", section, err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(conn, "INFO %s\r\n", section)
	r := bufio.NewReader(conn)
	head, err := r.ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("asking Redis for %s: %w", section, err)
	}
	size, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(head, "$")))
	if err != nil {
		return nil, fmt.Errorf("asking Redis for %s: it said %q", section, head)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, fmt.Errorf("asking Redis for %s: %w", section, err)
	}
	info := map[string]string{}
	for line := range strings.Lines(string(body)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[name] = value
		}
	}
	return info, nil
}

// redisBytes are what Redis's data takes now, and what it took at most.
func (f *fleet) redisBytes(ctx context.Context) (now, peak float64, err error) {
	info, err := redisInfo(ctx, f.redis, "memory")
	if err != nil {
		return 0, 0, err
	}
	now, err1 := strconv.ParseFloat(info["used_memory"], 64)
	peak, err2 := strconv.ParseFloat(info["used_memory_peak"], 64)
	return now, peak, errors.Join(err1, err2)
}

// commits notes when Redis published that a run had changed: once for each commit, wherever
// it was made.
type commits struct {
	conn net.Conn
	done chan struct{}
	mu   sync.Mutex
	at   []time.Time
}

func watchCommits(ctx context.Context, addr string) (*commits, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listening for commits: %w", err)
	}
	c := &commits{conn: conn, done: make(chan struct{})}
	r := bufio.NewReader(conn)
	fmt.Fprint(conn, "PSUBSCRIBE run:*\r\n")
	for range 6 { // the answer: *3, $10, psubscribe, $5, run:*, :1
		if _, err := r.ReadString('\n'); err != nil {
			return nil, errors.Join(fmt.Errorf("listening for commits: %w", err), conn.Close())
		}
	}
	go func() {
		defer close(c.done)
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return // closed
			}
			if strings.HasPrefix(line, "pmessage") {
				c.mu.Lock()
				c.at = append(c.at, time.Now())
				c.mu.Unlock()
			}
		}
	}()
	return c, nil
}

// last is the time of the last one.
func (c *commits) last() (time.Time, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.at) == 0 {
		return time.Time{}, errors.New("no commit was published")
	}
	return c.at[len(c.at)-1], nil
}

// times ends the listening and gives the times.
func (c *commits) times() []time.Time {
	c.conn.Close()
	<-c.done
	return c.at
}
