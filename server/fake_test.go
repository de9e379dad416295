package server

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"argosy/workflow"
)

// fakeStore is a Store of plain maps, for what the real one does not do on demand: fail, be
// changed at a chosen moment, hold a state. The real one is behind the tests of cmd/argosy.
type fakeStore struct {
	signals   []workflow.Event
	estimates map[string]*workflow.Estimate // by kind
	mu        sync.Mutex
	runs      map[string]*Record
	specs     map[string][]byte
	failed    error // returned by everything when set
	wake      chan struct{}
	taken     int // submits to refuse as taken
	fill      Fill

	items  map[workflow.Key]*workflow.Packed // of chunked loops
	read   int                               // records of nodes that were asked for by key
	packed int                               // records of items that were read
	large  bool                              // Load reads no nodes
}

func newFakeStore() *fakeStore {
	return &fakeStore{runs: map[string]*Record{}, specs: map[string][]byte{}, wake: make(chan struct{}, 1)}
}

func (f *fakeStore) Fill(context.Context) (Fill, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fill, f.failed
}

// do changes the store and wakes who watches.
func (f *fakeStore) do(change func()) {
	f.mu.Lock()
	change()
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func (f *fakeStore) Submit(_ context.Context, run *workflow.Run, specJSON []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed != nil {
		return f.failed
	}
	if f.taken > 0 {
		f.taken--
		return fmt.Errorf("reserving: %w", ErrExists)
	}
	for _, r := range f.runs {
		if r.Run.Namespace == run.Namespace && r.Run.Name == run.Name {
			return fmt.Errorf("reserving: %w", ErrExists)
		}
	}
	digest := strconv.Itoa(len(f.specs))
	f.specs[digest] = specJSON
	f.runs[run.ID] = &Record{Run: run, Digest: digest, Version: 1}
	return nil
}

func (f *fakeStore) SubmitOnce(ctx context.Context, run *workflow.Run, specJSON []byte) error {
	if _, err := f.Head(ctx, run.ID); err == nil {
		return nil
	}
	return f.Submit(ctx, run, specJSON)
}

func (f *fakeStore) RunID(_ context.Context, namespace, name string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed != nil {
		return "", f.failed
	}
	for id, r := range f.runs {
		if r.Run.Namespace == namespace && r.Run.Name == name {
			return id, nil
		}
	}
	return "", ErrNotFound
}

func (f *fakeStore) Page(_ context.Context, namespace, after string, limit int, keep func(*Record) bool) ([]*Record, string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed != nil {
		return nil, "", f.failed
	}
	var all []*Record
	for _, r := range f.runs {
		if (namespace == "" || r.Run.Namespace == namespace) && keep(r) {
			head := *r
			head.Nodes, head.Held = nil, nil
			all = append(all, &head)
		}
	}
	slices.SortFunc(all, func(a, b *Record) int { return int(b.Run.Created - a.Run.Created) })
	first, _ := strconv.Atoi(after)
	all = all[min(first, len(all)):]
	if len(all) > limit {
		return all[:limit], strconv.Itoa(first + limit), nil
	}
	return all, "", nil
}

func (f *fakeStore) Head(ctx context.Context, id string) (*Record, error) {
	r, err := f.Load(ctx, id, 0)
	if err != nil {
		return nil, err
	}
	r.Nodes, r.Held = nil, nil
	return r, nil
}

func (f *fakeStore) Load(_ context.Context, id string, most int) (*Record, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed != nil {
		return nil, f.failed
	}
	r, ok := f.runs[id]
	if !ok {
		return nil, ErrNotFound
	}
	out := *r
	if out.Complete = len(r.Nodes) <= most && !f.large; !out.Complete || out.Nodes == nil {
		out.Nodes = map[workflow.Key]*workflow.Node{}
	}
	return &out, nil
}

func (f *fakeStore) Nodes(_ context.Context, id string, keys []workflow.Key) (map[workflow.Key]*workflow.Node, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.read += len(keys)
	out := map[workflow.Key]*workflow.Node{}
	for _, k := range keys {
		if n := f.runs[id].Nodes[k]; n != nil {
			shown := *n
			out[k] = &shown
		}
	}
	return out, f.failed
}

func (f *fakeStore) Items(_ context.Context, _ string, loop workflow.Key, from, to int, want func(*workflow.Packed, int) bool) (*workflow.Packed, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.items[loop]
	if all == nil {
		return &workflow.Packed{First: from}, f.failed
	}
	f.packed += to - from
	size := len(all.Records)
	p := &workflow.Packed{
		First: from, Hosts: all.Hosts, Extras: map[int][]byte{},
		Records: all.Records[min(from*workflow.ItemSize, size):min(to*workflow.ItemSize, size)],
	}
	for i := from; i < to; i++ {
		if p.HasExtra(i) && (want == nil || want(p, i)) {
			p.Extras[i] = all.Extras[i]
		}
	}
	return p, f.failed
}

func (f *fakeStore) Spec(_ context.Context, digest string) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.specs[digest], f.failed
}

func (f *fakeStore) Estimate(_ context.Context, run *workflow.Run) (*workflow.Estimate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(run.Kinds()) == 0 {
		return nil, nil
	}
	return f.estimates[run.Kinds()[0]], nil
}

func (f *fakeStore) Signal(_ context.Context, id string, e workflow.Event) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.signals = append(f.signals, e)
	if r := f.runs[id]; r != nil && r.State.Finished != 0 {
		return ErrFinished
	}
	return f.failed
}

func (f *fakeStore) TakeUp(_ context.Context, r *Record, state *workflow.State, run *workflow.Run) error {
	err := f.failed
	f.do(func() {
		now := f.runs[r.Run.ID]
		if err == nil && now.Version != r.Version {
			err = ErrConflict
		}
		if err == nil {
			next := *now
			next.State, next.Version = *state, now.Version+1
			if run != nil {
				next.Run = run
			}
			f.runs[r.Run.ID] = &next
		}
	})
	return err
}
func (f *fakeStore) Discard(ctx context.Context, id string) error { return f.Delete(ctx, id) }

func (f *fakeStore) Delete(_ context.Context, id string) error {
	f.do(func() { delete(f.runs, id) })
	return f.failed
}

func (f *fakeStore) Watch(context.Context, string) (<-chan struct{}, error) { return f.wake, f.failed }

func (f *fakeStore) Ping(context.Context) error { return f.failed }

// fakeLogs are logs by node.
type fakeLogs map[workflow.Key][]Chunk

func (f fakeLogs) Read(_ context.Context, _ *workflow.Run, k workflow.Key, after string) ([]Chunk, string, error) {
	n, _ := strconv.Atoi(after)
	if n >= len(f[k]) {
		return nil, after, nil
	}
	return f[k][n : n+1], strconv.Itoa(n + 1), nil
}

// bench is a service over a fake store, and a server in front of it.
type bench struct {
	http *HTTP
	*httptest.Server
	handler http.Handler
	store   *fakeStore
	objects *fakeObjects
	crons   fakeCrons
	logs    fakeLogs
	service *Service
}

func newBench(t *testing.T, tokens ...string) *bench {
	b := newQuietBench(tokens...)
	b.Server = httptest.NewServer(b.handler)
	t.Cleanup(b.Close)
	return b
}

// newQuietBench has no server, for time that is not real.
func newQuietBench(tokens ...string) *bench {
	registry := prometheus.NewRegistry()
	metrics := NewMetrics(registry)
	log := slog.New(slog.DiscardHandler)
	b := &bench{store: newFakeStore(), logs: fakeLogs{}, objects: &fakeObjects{}, crons: fakeCrons{}}
	start := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	var looks atomic.Int64 // at the clock, which moves on by a second at each
	b.service = NewService(Config{Store: b.store, Objects: b.objects, Crons: b.crons, Logs: b.logs, Log: log, Metrics: metrics, Now: func() time.Time {
		return start.Add(time.Duration(looks.Add(1)) * time.Second)
	}})
	h := &HTTP{Service: b.service, Auth: NewAuth(tokensOf(tokens)), Log: log, Metrics: metrics, Gatherer: registry, Version: Version{Version: "v1"}}
	b.http, b.handler = h, h.Handler()
	return b
}

// tokensOf reads the lines of a token file.
func tokensOf(lines []string) (tokens []Token) {
	for _, line := range lines {
		t, err := parseToken(line)
		if err != nil {
			panic(err)
		}
		tokens = append(tokens, t)
	}
	return tokens
}

// as asks with a token, and reads the answer into something.
func (b *bench) as(t *testing.T, token, method, path, body string, into any) int {
	t.Helper()
	a := ask(t, method, b.URL+path, body, "Authorization", "Bearer "+token)
	if into != nil && a.status == http.StatusOK {
		require.NoError(t, json.Unmarshal([]byte(a.body), into))
	}
	return a.status
}

// hello is a valid workflow.
func hello(metadata string) string {
	return `{"apiVersion":"argoproj.io/v1alpha1","kind":"Workflow","metadata":` + metadata + `,
		"spec":{"entrypoint":"main","arguments":{"parameters":[{"name":"who","value":"you"}]},
		"templates":[{"name":"main","container":{"image":"busybox","command":["echo","{{workflow.parameters.who}}"]}}]}}`
}

func (b *bench) submit(t *testing.T, namespace, name string) *Record {
	return b.accept(t, namespace, hello(`{"name":"`+name+`"}`))
}

func (b *bench) submitSpec(t *testing.T, name, specJSON string) *Record {
	return b.accept(t, "default", `{"apiVersion":"argoproj.io/v1alpha1","kind":"Workflow","metadata":{"name":"`+name+`"},"spec":`+specJSON+`}`)
}

func (b *bench) accept(t *testing.T, namespace, doc string) *Record {
	t.Helper()
	wf, err := b.service.Submit(t.Context(), namespace, []byte(doc), SubmitOptions{})
	require.NoError(t, err)
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	return b.store.runs[string(wf.UID)]
}

// fakeObjects are objects in a list.
type fakeObjects struct {
	mu      sync.Mutex
	kinds   []string
	list    []*Stored
	version int64
	failed  error // returned by everything when set
}

func (f *fakeObjects) find(kind, namespace, name string) int {
	return slices.IndexFunc(f.list, func(o *Stored) bool {
		return f.kinds[slices.Index(f.list, o)] == kind && o.Namespace == namespace && o.Name == name
	})
}

func (f *fakeObjects) Put(_ context.Context, kind, namespace, name string, object []byte, version int64) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := f.find(kind, namespace, name)
	switch {
	case f.failed != nil:
		return 0, f.failed
	case version == 0 && i >= 0:
		return 0, ErrExists
	case version != 0 && i < 0:
		return 0, ErrNotFound
	case version > 0 && f.list[i].Version != version:
		return 0, ErrConflict
	}
	f.version++
	o := &Stored{Namespace: namespace, Name: name, Version: f.version, JSON: object}
	if i >= 0 {
		f.list[i] = o
	} else {
		f.list, f.kinds = append(f.list, o), append(f.kinds, kind)
	}
	return f.version, nil
}

func (f *fakeObjects) Get(_ context.Context, kind, namespace, name string) (*Stored, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i := f.find(kind, namespace, name); f.failed == nil && i >= 0 {
		return f.list[i], nil
	}
	return nil, cmp.Or(f.failed, ErrNotFound)
}

func (f *fakeObjects) List(_ context.Context, kind, namespace string) ([]*Stored, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []*Stored
	for i, o := range f.list {
		if f.kinds[i] == kind && (namespace == "" || o.Namespace == namespace) {
			out = append(out, o)
		}
	}
	return out, f.failed
}

func (f *fakeObjects) Delete(_ context.Context, kind, namespace, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := f.find(kind, namespace, name)
	if i < 0 {
		return ErrNotFound
	}
	f.list, f.kinds = slices.Delete(f.list, i, i+1), slices.Delete(f.kinds, i, i+1)
	return f.failed
}
