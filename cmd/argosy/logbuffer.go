package main

import (
	"sync"
	"time"
)

const (
	logFlushAfter = 200 * time.Millisecond
	logFlushSize  = 64 << 10
)

// logBuffer gathers what a step writes, so that a chatty step costs Redis a few commands a
// second, and a silent one none.
type logBuffer struct {
	flush func([]byte) error

	mu    sync.Mutex
	data  []byte
	timer *time.Timer // runs while there is data
	err   error
	done  bool
}

func newLogBuffer(flush func([]byte) error) *logBuffer { return &logBuffer{flush: flush} }

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return 0, b.err
	}
	b.data = append(b.data, p...)
	if len(b.data) >= logFlushSize {
		b.flushLocked()
	} else if b.timer == nil {
		b.timer = time.AfterFunc(logFlushAfter, b.tick)
	}
	return len(p), b.err
}

func (b *logBuffer) tick() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.done {
		b.flushLocked()
	}
}

// flushLocked writes out what there is, in order: the lock is held meanwhile.
func (b *logBuffer) flushLocked() {
	if b.timer != nil {
		b.timer.Stop()
		b.timer = nil
	}
	if len(b.data) == 0 || b.err != nil {
		return
	}
	b.err = b.flush(b.data)
	b.data = b.data[:0]
}

// Close writes out the rest.
func (b *logBuffer) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.flushLocked()
	b.done = true
	return b.err
}
