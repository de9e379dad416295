package queue_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"argosy/queue"
	"argosy/queue/queuetest"
	"argosy/workflow"
	"argosy/workflow/spec"
)

// cluster is shared by the tests of this package.
var cluster = queuetest.NewCluster()

func TestMain(m *testing.M) {
	flag.Parse()
	// These tests wait more than they compute.
	err := flag.Set("test.parallel", "12")
	if err != nil {
		panic(err)
	}
	code := m.Run()
	err = cluster.Stop()
	if code == 0 {
		// After failed dials a pool of go-redis tries once a second, even if it was closed meanwhile.
		err = errors.Join(err, goleak.Find(goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial")))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

const (
	pool = "default"
	leaf = workflow.Key("/[0].hello")
)

// world is a Redis with every role connected to it.
type world struct {
	t      testing.TB
	ctx    context.Context
	url    string
	raw    redis.UniversalClient // looks and meddles behind the roles' backs
	conn   *queue.Conn
	count  *queue.Counter
	broker *queue.Asynq
	runs   *queue.Runs
	turns  *queue.Turns
	tasks  *queue.Tasks
}

func newWorld(t testing.TB, url string) *world {
	t.Helper()
	var raw redis.UniversalClient
	if addrs, ok := strings.CutPrefix(url, "redis+cluster://"); ok {
		raw = redis.NewClusterClient(&redis.ClusterOptions{Addrs: strings.Split(addrs, ",")})
	} else {
		opts, err := redis.ParseURL(url)
		require.NoError(t, err)
		raw = redis.NewClient(opts)
	}
	t.Cleanup(func() { raw.Close() })
	count := queue.NewCounter()
	conn := queuetest.ConnectWith(t, url, queue.Options{Counter: count})
	broker := queue.NewAsynq(conn)
	t.Cleanup(func() { broker.Close() })
	turns := queue.NewTurns(conn, broker, queue.TurnOptions{WholeNodes: 8, Lease: time.Minute})
	t.Cleanup(func() { turns.Close() })
	return &world{
		t: t, ctx: t.Context(), url: url, raw: raw, conn: conn, count: count, broker: broker,
		runs: queue.NewRuns(conn), turns: turns, tasks: queue.NewTasks(conn, "worker-1", time.Minute),
	}
}

// onCluster picks what a test expects of a cluster.
func (w *world) onCluster(there, elsewhere int) int {
	if _, ok := w.raw.(*redis.ClusterClient); ok {
		return there
	}
	return elsewhere
}

// sent returns when so many commands of a name were sent.
func (w *world) sent(command string, n int) {
	w.t.Helper()
	awaitSent(w.t, w.count, command, n)
}

func awaitSent(t testing.TB, count *queue.Counter, command string, n int) {
	t.Helper()
	for count.Sent(command) < n {
		require.NoError(t, t.Context().Err())
		runtime.Gosched()
	}
}

// keys returns every key that matches.
func (w *world) keys(pattern string) []string {
	w.t.Helper()
	cluster, ok := w.raw.(*redis.ClusterClient)
	if !ok {
		return w.raw.Keys(w.ctx, pattern).Val()
	}
	var mu sync.Mutex
	var all []string
	require.NoError(w.t, cluster.ForEachMaster(w.ctx, func(ctx context.Context, c *redis.Client) error {
		found, err := c.Keys(ctx, pattern).Result()
		mu.Lock()
		defer mu.Unlock()
		all = append(all, found...)
		return err
	}))
	return all
}

// each runs a test in a world over each kind of Redis.
func each(t *testing.T, test func(w *world)) {
	t.Parallel()
	queuetest.Each(t, func(t *testing.T, url string) { test(newWorld(t, url)) })
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		test(newWorld(t, cluster.Use(t)))
	})
}

func newRun(id string) *workflow.Run {
	return &workflow.Run{ID: id, Name: "hello-" + id, Namespace: "argo", Created: 1_700_000_000_000}
}

func (w *world) submit(id string) *workflow.Run {
	w.t.Helper()
	run := newRun(id)
	require.NoError(w.t, w.runs.Submit(w.ctx, run, []byte(`{"entrypoint":"hello"}`)))
	return run
}

// claim takes the turn that must be due.
func (w *world) claim() *queue.Ticket {
	w.t.Helper()
	ticket, err := w.turns.Claim(w.ctx, time.Minute)
	require.NoError(w.t, err)
	require.NotNil(w.t, ticket)
	return ticket
}

// idle says that no run is due.
func (w *world) idle() {
	w.t.Helper()
	ticket, err := w.newTurns().Claim(w.ctx, time.Millisecond)
	require.NoError(w.t, err)
	require.Nil(w.t, ticket)
}

// newTurns is another coordinator.
func (w *world) newTurns() *queue.Turns {
	turns := queue.NewTurns(w.conn, w.broker, queue.TurnOptions{WholeNodes: 8, Lease: time.Minute})
	w.t.Cleanup(func() { turns.Close() })
	return turns
}

func (w *world) begin(ticket *queue.Ticket) *queue.Loaded {
	w.t.Helper()
	l, err := w.turns.Begin(w.ctx, ticket)
	require.NoError(w.t, err)
	return l
}

func (w *world) commit(l *queue.Loaded, c *queue.Commit) *queue.Committed {
	w.t.Helper()
	if c.State == nil {
		c.State = &workflow.State{Phase: spec.WorkflowRunning}
	}
	done, err := w.turns.Commit(w.ctx, l, c)
	require.NoError(w.t, err)
	return done
}

// launch takes a run's first turn, which sends one leaf.
func (w *world) launch(id string) queue.Delivery {
	w.t.Helper()
	ticket := w.claim()
	require.Equal(w.t, id, ticket.Run)
	l := w.begin(ticket)
	d := queue.Delivery{Run: id, Key: leaf, Number: 1, Pool: pool}
	done := w.commit(l, &queue.Commit{
		Nodes: []*workflow.Node{{Key: leaf, Type: spec.NodeTypePod, Phase: spec.NodePending}},
		Send:  []queue.Delivery{d},
	})
	require.Equal(w.t, []queue.Delivery{d}, done.Out)
	require.NoError(w.t, w.turns.Dispatch(w.ctx, done.Unsent()))
	require.NoError(w.t, w.turns.Settle(w.ctx, ticket, queue.Settlement{Next: done.Next, Token: l.Token, Sent: len(done.Out)}))
	return d
}

// overdue makes the run's turn and the look at what it has in flight come due, and lets the
// leases of all that it has in flight pass.
func (w *world) overdue(id string) {
	w.t.Helper()
	require.NoError(w.t, w.raw.HSet(w.ctx, "{r:"+id+"}:meta", "chk", 0).Err())
	w.overdueRun(id)
	fly := "{r:" + id + "}:fly"
	for key, text := range w.raw.HGetAll(w.ctx, fly).Val() {
		require.NoError(w.t, w.raw.HSet(w.ctx, fly, key, expiry.ReplaceAllString(text, "${1}1|")).Err())
	}
}

// overdueRun makes the run's turn come due, as if the lease of one under way had passed.
func (w *world) overdueRun(id string) {
	w.t.Helper()
	for k := range 8 {
		due := fmt.Sprintf("due:{%d}", k)
		if w.raw.ZScore(w.ctx, due, id).Err() == nil {
			require.NoError(w.t, w.raw.ZAdd(w.ctx, due, redis.Z{Score: 1, Member: id}).Err())
			require.NoError(w.t, w.raw.LPush(w.ctx, "turns:bell", k).Err())
		}
	}
}

func succeeded() workflow.Result {
	return workflow.Result{Phase: spec.NodeSucceeded, Host: "here"}
}
