package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/api/resource"

	"argosy/artifacts"
	"argosy/queue"
	"argosy/tracing"
)

// roleFlags are what every role is told.
type roleFlags struct {
	redis   redisFlags
	log     logFlags
	metrics string
	memory  string
	wait    time.Duration
}

func (f *roleFlags) register(flags *pflag.FlagSet, metrics string) {
	f.redis.register(flags)
	f.log.register(flags)
	flags.DurationVar(&f.wait, "redis-wait", time.Minute, "how long to wait at the start for a Redis that does not answer yet")
	flags.StringVar(&f.metrics, "metrics-addr", envOr("ARGOSY_METRICS_ADDR", metrics), `where to serve /metrics, /healthz and /readyz; "" is nowhere (env ARGOSY_METRICS_ADDR)`)
}

// registerRoom is for the roles that take in work or start it.
func (f *roleFlags) registerRoom(flags *pflag.FlagSet) {
	flags.StringVar(&f.memory, "redis-memory-limit", envOr("ARGOSY_REDIS_MEMORY_LIMIT", ""), "memory of Redis, such as 2Gi, from which on no more workflows are accepted; from a tenth more on no more steps are started (env ARGOSY_REDIS_MEMORY_LIMIT; default: 80 % of Redis's maxmemory if it has one)")
}

// role is a process's surroundings: what its parts share.
type role struct {
	log      *slog.Logger
	conn     *queue.Conn
	registry *prometheus.Registry
	room     *queue.Room
	metrics  string
	traces   *tracing.Tracing // nil: nobody wants any
}

// open connects to Redis and prepares what the parts share. Close it after the last part.
func (f *roleFlags) open(ctx context.Context, a *app, name string) (*role, error) {
	log, err := f.log.logger(a.err)
	if err != nil {
		return nil, err
	}
	log = log.With("role", name)
	limit, err := memoryLimit(f.memory)
	if err != nil {
		return nil, err
	}
	traces, err := tracing.Open(ctx, serviceName(name), buildInfo().Version, a.env, log)
	if err != nil {
		return nil, usagef("%w", err)
	}
	conn, err := queue.Connect(ctx, f.redis.url, queue.Options{Log: log, Wait: f.wait})
	if err != nil {
		return nil, &exitError{code: exitServer, err: err}
	}
	return &role{log: log, conn: conn, registry: newRegistry(), room: queue.NewRoom(conn, limit), metrics: f.metrics, traces: traces}, nil
}

// serviceName is what traces call a process of a role, unless OTEL_SERVICE_NAME does.
func serviceName(role string) string {
	if role == "fleet" {
		return "argosy"
	}
	return "argosy-" + role
}

// memoryLimit reads a number of bytes; "" is 0.
func memoryLimit(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	q, err := resource.ParseQuantity(text)
	if err != nil || q.Value() <= 0 {
		return 0, usagef("--redis-memory-limit: %q is no amount of memory: write bytes, or a number with Mi or Gi", text)
	}
	return q.Value(), nil
}

// watchRoom exposes how full Redis is, and warns of one that would lose runs.
func (r *role) watchRoom(ctx context.Context) error {
	if err := queue.RegisterRoomMetrics(r.registry, r.room); err != nil {
		return err
	}
	fill, err := r.room.Fill(ctx)
	switch {
	case err != nil:
		r.log.Warn("it is not known how full Redis is; no limit applies until it is", "error", err)
	case fill.Evicts():
		r.log.Warn("Redis may evict keys, and with them runs: set its maxmemory-policy to noeviction", "maxmemoryPolicy", fill.Policy)
	}
	return nil
}

func newRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

func (r *role) close() {
	if r.traces != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := r.traces.Close(ctx); err != nil {
			r.log.Warn("some traces were not sent", "error", err)
		}
	}
	if err := r.conn.Close(); err != nil {
		r.log.Debug("closing the connection to Redis", "error", err)
	}
}

// monitor is the part that serves metrics and probes; none without an address.
func (r *role) monitor() []part {
	if r.metrics == "" {
		return nil
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(r.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, req *http.Request) {
		ctx, cancel := context.WithTimeout(req.Context(), 2*time.Second)
		defer cancel()
		if err := r.conn.Ping(ctx); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	return []part{{"metrics endpoint", func(take, _ context.Context) error {
		l, err := net.Listen("tcp", r.metrics)
		if err != nil {
			return fmt.Errorf("listening for scrapes: %w", err)
		}
		return serveHTTP(take, l, &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second})
	}}}
}

// serveHTTP serves until take ends, and lets answers under way finish for a while.
func serveHTTP(take context.Context, l net.Listener, s *http.Server) error {
	s.BaseContext = func(net.Listener) context.Context { return take }
	failed := make(chan error, 1)
	go func() { failed <- s.Serve(l) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serving HTTP: %w", err)
	case <-take.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(take), 5*time.Second)
	defer cancel()
	if err := s.Shutdown(grace); err != nil {
		return fmt.Errorf("ending open requests: %w", s.Close())
	}
	return nil
}

// storeFlags say where artifacts live: a bucket, or else a directory.
type storeFlags struct {
	s3  s3Flags
	dir string
}

func (f *storeFlags) register(flags *pflag.FlagSet) {
	f.s3.register(flags)
	flags.StringVar(&f.dir, "artifacts", envOr("ARGOSY_ARTIFACTS", ""), "directory for artifacts where there is no S3 (env ARGOSY_ARTIFACTS; default: argosy/artifacts in the user's data directory)")
}

func (f *storeFlags) open() (*artifactStore, error) {
	s, err := f.store()
	if err != nil {
		return nil, err
	}
	own := &artifactStore{own: s, gcsEndpoint: os.Getenv(gcsEmulator)}
	if f.s3.endpoint != "" {
		own.bucket = f.s3.bucket
	}
	return own, nil
}

// store is what keeps the bytes.
func (f *storeFlags) store() (artifacts.Ranged, error) {
	if f.s3.endpoint != "" {
		s, err := artifacts.NewS3(artifacts.S3Config{
			Endpoint: f.s3.endpoint, Region: f.s3.region, Bucket: f.s3.bucket, Insecure: f.s3.insecure,
			AccessKey: f.s3.accessKey, SecretKey: f.s3.secretKey,
		})
		if err != nil {
			return nil, usagef("%w", err)
		}
		return s, nil
	}
	if f.dir == "" {
		data, err := dataDir()
		if err != nil {
			return nil, err
		}
		f.dir = filepath.Join(data, "artifacts")
	}
	d, err := artifacts.NewDir(f.dir)
	if err != nil {
		return nil, usagef("--artifacts: %w", err)
	}
	return d, nil
}

// gcsEmulator names another Google Cloud Storage, as it does to Google's own clients.
const gcsEmulator = "STORAGE_EMULATOR_HOST"

// addresses are those of the store.
func (f *storeFlags) addresses() []string {
	switch _, _, err := net.SplitHostPort(f.s3.endpoint); {
	case f.s3.endpoint == "":
		return nil
	case err == nil:
		return []string{f.s3.endpoint}
	case f.s3.insecure:
		return []string{net.JoinHostPort(f.s3.endpoint, "80")}
	}
	return []string{net.JoinHostPort(f.s3.endpoint, "443")}
}

// dataDir is where this user's Argosy keeps what outlives a process.
func dataDir() (string, error) {
	if d := os.Getenv("XDG_DATA_HOME"); d != "" {
		return filepath.Join(d, "argosy"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("finding a directory for data: %w", err)
	}
	return filepath.Join(home, ".local", "share", "argosy"), nil
}
