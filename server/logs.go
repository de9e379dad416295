package server

import (
	"bytes"
	"cmp"
	"container/heap"
	"context"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"time"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// LogOptions choose what of a run's logs to send.
type LogOptions struct {
	PodName    string // a pod, or a node by its name or id: of what is below it; empty: of all pods
	Container  string // empty: main, the only one that is logged
	Follow     bool   // until the run ends
	Tail       int    // last lines of each pod; negative: all
	Since      time.Time
	Timestamps bool
	Grep       string // a regular expression
}

// LogEntry is one line.
type LogEntry struct {
	Content string `json:"content"`
	PodName string `json:"podName"`
}

const (
	maxLogLine  = 64 << 10 // longer lines are sent in pieces
	logPollFast = 100 * time.Millisecond
	logPollSlow = 500 * time.Millisecond
	// maxLogged is how many pods' lines are put in the order of their time. Of a run with more,
	// or a part of one, so many of them are sent after the other.
	maxLogged     = 10_000
	mainContainer = "main"
)

// Logs sends a run's logs, the lines of all pods in the order of their time.
func (s *Service) Logs(ctx context.Context, namespace, name string, o LogOptions) (Feed[LogEntry], error) {
	f := &logFeed{s: s, o: o, pods: map[workflow.Key]*podLog{}, of: o.PodName}
	if o.Grep != "" {
		grep, err := regexp.Compile(o.Grep)
		if err != nil {
			return nil, errorf(CodeInvalid, "grep: %v", err)
		}
		f.grep = grep
	}
	r, err := s.anywhere(ctx, namespace, name, "")
	if err != nil {
		return nil, err
	}
	f.id = r.Run.ID
	if err := f.see(ctx, r); err != nil {
		return nil, err
	}
	if o.PodName != "" && len(f.pods) == 0 && (r.State.Phase.Completed() || !o.Follow) {
		return nil, errorf(CodeNotFound, "pods %q not found", o.PodName)
	}
	return f.run, nil
}

// logFeed reads in rounds: look at the run, then send all that there is in the order of
// time. A pod that had ended before the look is done after it.
type logFeed struct {
	s    *Service
	o    LogOptions
	grep *regexp.Regexp
	id   string
	of   string // the node whose pods these are: as it was asked for, then by its name
	pods map[workflow.Key]*podLog
	next []int // where the pods go on that are sent after these
	last *Record
}

func (f *logFeed) run(ctx context.Context, send func(LogEntry) error) error {
	if f.o.Container != "" && f.o.Container != mainContainer {
		return nil
	}
	wait, cost := logPollFast, time.Duration(0)
	for {
		sent, err := f.round(ctx, send)
		if err != nil {
			return ended(ctx, err)
		}
		if len(f.next) == 0 && (!f.o.Follow || f.last.State.Phase.Completed()) {
			return nil
		}
		if wait = min(wait*2, logPollSlow); sent {
			wait = logPollFast
		}
		if len(f.next) > 0 {
			clear(f.pods)
		} else if !pause(ctx, nil, max(wait, watchPauseCost*cost)) {
			return nil
		}
		start := time.Now()
		r := f.last
		if !r.Archived {
			r, err = f.s.store.Load(ctx, f.id, maxShown)
		}
		if err != nil {
			return ended(ctx, fmt.Errorf("loading run %s: %w", f.id, err))
		}
		if err := f.see(ctx, r); err != nil {
			return ended(ctx, err)
		}
		cost = time.Since(start)
	}
}

// see takes in the pods of a run, or the next of them, and which of them have ended.
func (f *logFeed) see(ctx context.Context, r *Record) error {
	f.last = r
	l, err := f.s.lens(ctx, r)
	if err != nil {
		return err
	}
	at, err := l.from(ctx, f.of)
	if at == nil || err != nil {
		return err // without an error it may come
	}
	f.of = at.node.Key.Name(r.Run.Name) // an id has to be looked for, a name leads there
	take := func(_ []int, n, _, _ *workflow.Node) bool {
		if n.Type != spec.NodeTypePod {
			return true
		}
		p := f.pods[n.Key]
		if p == nil {
			if len(f.pods) == maxLogged {
				return false
			}
			p = &podLog{f: f, key: n.Key, name: workflow.PodName(r.Run.Name, n.Template, n.Key)}
			f.pods[n.Key] = p
		}
		p.started, p.ended = n.Started, n.Fulfilled()
		if r.Archived {
			p.kept = keptLog(n)
		}
		return true
	}
	if len(f.next) == 0 {
		take(nil, at.node, nil, nil)
	}
	f.next, err = l.into(ctx, at.branch, at.parent, at.scope, nil, f.next, math.MaxInt, take)
	if err == nil && len(f.next) > 0 && f.o.Follow && !r.State.Phase.Completed() {
		return errorf(CodePrecondition, "there are more than %d pods to follow: name one, or a node with fewer below it", maxLogged)
	}
	return err
}

// round sends what all pods have by now.
func (f *logFeed) round(ctx context.Context, send func(LogEntry) error) (sent bool, err error) {
	var waiting []*podLog // by start: what a pod logs is not older, so it can wait its turn
	for _, p := range f.pods {
		if !p.done {
			waiting = append(waiting, p)
		}
	}
	slices.SortFunc(waiting, func(a, b *podLog) int {
		return cmp.Or(cmp.Compare(a.started, b.started), cmp.Compare(a.key, b.key))
	})
	open := &podHeap{}
	for len(waiting) > 0 || open.Len() > 0 {
		if len(waiting) > 0 && (open.Len() == 0 || !waiting[0].started.Time().After((*open)[0].lines[0].at)) {
			p := waiting[0]
			waiting = waiting[1:]
			if err := p.open(ctx); err != nil {
				return sent, err
			}
			if len(p.lines) > 0 {
				heap.Push(open, p)
			}
			continue
		}
		p := (*open)[0]
		line := p.lines[0]
		p.lines = p.lines[1:]
		if err := p.fill(ctx); err != nil {
			return sent, err
		}
		if len(p.lines) > 0 {
			heap.Fix(open, 0)
		} else {
			heap.Pop(open)
		}
		if f.wants(line) {
			if err := send(f.entry(p, line)); err != nil {
				return sent, err
			}
		}
		sent = true
	}
	return sent, nil
}

func (f *logFeed) wants(l logLine) bool {
	return !l.at.Before(f.o.Since) && (f.grep == nil || f.grep.Match(l.text))
}

func (f *logFeed) entry(p *podLog, l logLine) LogEntry {
	text := string(bytes.ToValidUTF8(l.text, []byte("\uFFFD")))
	if f.o.Timestamps {
		text = l.at.UTC().Format(time.RFC3339Nano) + " " + text
	}
	return LogEntry{Content: text, PodName: p.name}
}

type logLine struct {
	at   time.Time
	text []byte
}

// podLog is how far the log of one pod was read.
type podLog struct {
	f       *logFeed
	key     workflow.Key
	name    string
	started workflow.Millis
	ended   bool // as of the last look at the run
	done    bool // ended, and read to its end
	tailed  bool // what Tail leaves out was skipped

	position string
	lines    []logLine // read and not sent
	rest     logLine   // a line whose end did not come yet

	kept *spec.Artifact // of an archived run: the log, if it was kept
	from io.ReadCloser
}

// open reads up to the first lines to send.
func (p *podLog) open(ctx context.Context) error {
	if p.tailed || p.f.o.Tail < 0 {
		return p.fill(ctx)
	}
	p.tailed = true
	var kept []logLine
	for {
		if err := p.fill(ctx); err != nil {
			return err
		}
		if len(p.lines) == 0 {
			p.lines = kept
			return nil
		}
		kept = append(kept, p.lines...)
		kept = slices.Clone(kept[max(len(kept)-p.f.o.Tail, 0):])
		p.lines = nil
	}
}

// fill reads on if no line is left; it leaves none when there is nothing more by now.
func (p *podLog) fill(ctx context.Context) error {
	for len(p.lines) == 0 && !p.done {
		chunks, next, err := p.read(ctx)
		if err != nil {
			return fmt.Errorf("reading the log of %s: %w", p.name, err)
		}
		p.position = next
		if len(chunks) == 0 {
			if p.done = p.ended; p.done && len(p.rest.text) > 0 {
				p.lines, p.rest = []logLine{p.rest}, logLine{}
			}
			return nil
		}
		for _, c := range chunks {
			p.cut(c)
		}
	}
	return nil
}

// read returns what follows.
func (p *podLog) read(ctx context.Context) (chunks []Chunk, next string, err error) {
	if p.f.last.Archived {
		chunks, err = p.readKept(ctx)
		return chunks, "", err
	}
	return p.f.s.logs.Read(ctx, p.f.last.Run, p.key, p.position)
}

// cut makes lines of a chunk.
func (p *podLog) cut(c Chunk) {
	data := c.Data
	for len(data) > 0 {
		if len(p.rest.text) == 0 {
			p.rest.at = c.At
		}
		i := bytes.IndexByte(data, '\n')
		whole, piece := i >= 0, data
		if whole {
			piece = data[:i]
		}
		if room := maxLogLine - len(p.rest.text); len(piece) > room {
			whole, piece = true, piece[:room]
			data = data[len(piece):]
		} else {
			data = data[min(len(piece)+1, len(data)):]
		}
		p.rest.text = append(p.rest.text, piece...)
		if whole {
			p.lines = append(p.lines, logLine{p.rest.at, bytes.TrimSuffix(p.rest.text, []byte("\r"))})
			p.rest = logLine{}
		}
	}
}

// podHeap orders pods by their next line.
type podHeap []*podLog

func (h podHeap) Len() int { return len(h) }
func (h podHeap) Less(i, j int) bool {
	a, b := h[i], h[j]
	if c := a.lines[0].at.Compare(b.lines[0].at); c != 0 {
		return c < 0
	}
	return cmp.Or(cmp.Compare(a.started, b.started), cmp.Compare(a.key, b.key)) < 0
}
func (h podHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push is heap.Interface's.
func (h *podHeap) Push(x any) { *h = append(*h, x.(*podLog)) }

// Pop is heap.Interface's.
func (h *podHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}
