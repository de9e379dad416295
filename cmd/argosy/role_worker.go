package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	kuberuntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"argosy/cmd/argosy/internal/join"
	"argosy/queue"
	"argosy/worker"
	"argosy/worker/agent"
	"argosy/worker/egress"
	"argosy/worker/kube"
	"argosy/worker/kube/resource"
	"argosy/worker/noop"
	"argosy/worker/process"
)

// workerFlags say what a worker serves, and how it runs steps.
type workerFlags struct {
	pool     string
	slots    int
	executor string
	drain    time.Duration
	store    storeFlags
	local    bool // workflows may reach any address
	lend     bool // workflows may act as the worker in its cloud
	direct   bool // pods send large outputs to S3 themselves
	process  processFlags
	kube     kubeFlags
}

// processFlags are for the process executor.
type processFlags struct {
	scratch string
	volumes string
	hide    []string
	tools   string
	images  string
	address string
	grace   time.Duration
}

// config is what the executor is told.
func (f *processFlags) config() (process.Config, error) {
	cfg := process.Config{Scratch: f.scratch, Volumes: f.volumes, Hide: f.hide, Tools: f.tools, Address: f.address, Grace: f.grace}
	if f.images == "" {
		return cfg, nil
	}
	data, err := os.ReadFile(f.images)
	if err == nil {
		cfg.Images, err = worker.ParseImages(data)
	}
	if err != nil {
		return cfg, usagef("--images: %w", err)
	}
	return cfg, nil
}

// kubeFlags are for the kubernetes executor.
type kubeFlags struct {
	cluster     clusterFlags
	gatewayAddr string
	gatewayURL  string
	ownURL      string
	runnerImage string
	nodeRunner  string
	pullPolicy  string
	install     string
	alone       bool // no other worker will take over the Jobs of this one
}

// clusterFlags say which Kubernetes to use, and which namespace of it.
type clusterFlags struct {
	kubeconfig, namespace string
}

func (f *clusterFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.kubeconfig, "kubeconfig", os.Getenv("KUBECONFIG"), "kubeconfig file (env KUBECONFIG; default: the pod's own service account)")
}

// client connects to the cluster.
func (f *clusterFlags) client() (kubernetes.Interface, *rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", f.kubeconfig)
	if err != nil {
		return nil, nil, usagef("finding the cluster: %w", err)
	}
	// The server's own flow control is what should slow us down.
	config.QPS, config.Burst = 200, 400
	// As Kubernetes' own clients have it: the API server encodes a change once for all who watch.
	config.ContentType, config.AcceptContentTypes = kuberuntime.ContentTypeProtobuf, kuberuntime.ContentTypeProtobuf+","+kuberuntime.ContentTypeJSON
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, nil, usagef("connecting to the cluster: %w", err)
	}
	return client, config, nil
}

// Executors by name.
const (
	executorProcess = "process"
	executorKube    = "kubernetes"
	executorNoop    = "noop"
)

func (f *workerFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.pool, "pool", envOr("ARGOSY_POOL", defaultPool), "pool to serve (env ARGOSY_POOL)")
	flags.IntVar(&f.slots, "slots", 0, "steps to run at once (default: 100 Jobs on kubernetes, otherwise the number of CPUs)")
	flags.StringVar(&f.executor, "executor", envOr("ARGOSY_EXECUTOR", executorProcess), "how to run steps: process, kubernetes, or noop, which runs nothing (env ARGOSY_EXECUTOR)")
	flags.StringVar(&f.process.scratch, "scratch", os.Getenv("ARGOSY_SCRATCH"), "directory on whose disk process steps write (env ARGOSY_SCRATCH; default: in memory)")
	flags.StringVar(&f.process.volumes, "volumes", os.Getenv("ARGOSY_VOLUMES"), "directory for the volumes of process steps (env ARGOSY_VOLUMES; default: argosy/volumes in the user's data directory)")
	flags.StringVar(&f.process.tools, "tools", os.Getenv("ARGOSY_TOOLS"), "directory of programs that process steps find first: what their images would bring (env ARGOSY_TOOLS)")
	flags.StringVar(&f.process.images, "images", os.Getenv("ARGOSY_IMAGES"), "YAML file with the entrypoint and cmd of images, for steps without a command: all of local processes, and those of Jobs that stage files (env ARGOSY_IMAGES)")
	flags.StringVar(&f.process.address, "step-address", os.Getenv("ARGOSY_STEP_ADDRESS"), "address of this machine at which steps on others reach the daemons of process steps (env ARGOSY_STEP_ADDRESS; default: 127.0.0.1)")
	flags.DurationVar(&f.process.grace, "grace", 30*time.Second, "time between asking a step to end and killing it")
	f.store.register(flags)
	flags.BoolVar(&f.local, "allow-local-addresses", os.Getenv("ARGOSY_ALLOW_LOCAL_ADDRESSES") == "true", "let http templates and artifacts reach this machine, link-local addresses, and the fleet's own Redis and store (env ARGOSY_ALLOW_LOCAL_ADDRESSES)")
	flags.BoolVar(&f.lend, "lend-cloud-identity", os.Getenv("ARGOSY_LEND_CLOUD_IDENTITY") == "true", "let artifact locations that ask for it (useSDKCreds, roleARN) be reached as this worker itself in its cloud (env ARGOSY_LEND_CLOUD_IDENTITY)")
	flags.BoolVar(&f.direct, "direct-uploads", os.Getenv("ARGOSY_DIRECT_UPLOADS") != "false", "have step pods send large outputs to S3 themselves, by addresses signed for 10 minutes, where they can reach it; otherwise all goes through the worker (env ARGOSY_DIRECT_UPLOADS)")
	f.kube.cluster.register(flags)
	flags.StringVar(&f.kube.gatewayAddr, "gateway-addr", envOr("ARGOSY_GATEWAY_ADDR", ":8080"), "where to serve step pods (env ARGOSY_GATEWAY_ADDR)")
	flags.StringVar(&f.kube.gatewayURL, "gateway-url", os.Getenv("ARGOSY_GATEWAY_URL"), "how step pods reach a worker, by https, or by http to do without TLS (env ARGOSY_GATEWAY_URL; default: https and this machine's address towards the cluster)")
	flags.StringVar(&f.kube.ownURL, "worker-url", os.Getenv("ARGOSY_WORKER_URL"), "how warm step pods reach this worker and no other (env ARGOSY_WORKER_URL; default: this machine's address towards the cluster)")
	flags.StringVar(&f.kube.runnerImage, "runner-image", envOr("ARGOSY_RUNNER_IMAGE", "argosy:latest"), "image that has argosy-step (env ARGOSY_RUNNER_IMAGE)")
	flags.StringVar(&f.kube.nodeRunner, "node-runner", os.Getenv("ARGOSY_NODE_RUNNER"), "folder of every node that has argosy-step (see deploy/node-runner), so that no init container brings it (env ARGOSY_NODE_RUNNER)")
	flags.StringVar(&f.kube.pullPolicy, "image-pull-policy", envOr("ARGOSY_IMAGE_PULL_POLICY", string(corev1.PullIfNotPresent)), "imagePullPolicy of containers that name none: IfNotPresent, Always or Never (env ARGOSY_IMAGE_PULL_POLICY)")
	flags.StringVar(&f.kube.install, "install", envOr("ARGOSY_INSTALL", "argosy"), "name of this installation, which its Jobs are labelled with (env ARGOSY_INSTALL)")
}

func (a *app) worker() *cobra.Command {
	var common roleFlags
	var f workerFlags
	var defaults defaultsFlag
	cmd := &cobra.Command{
		Use:   "worker",
		Short: "Take steps from the queue and run them",
		Args:  cobra.NoArgs,
		Example: examples(
			"argosy worker --slots 8                       # local processes",
			"argosy worker --executor kubernetes -n jobs   # Kubernetes Jobs in namespace jobs"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.kube.cluster.namespace = a.conn.namespace
			r, err := common.open(cmd.Context(), a, "worker")
			if err != nil {
				return err
			}
			defer r.close()
			// What resource templates submit comes in as if a server had got it.
			s, err := r.ownService(defaults)
			if err != nil {
				return err
			}
			groups, end, err := f.parts(cmd.Context(), r, s)
			if err != nil {
				return err
			}
			err = runParts(cmd.Context(), append([][]part{r.monitor()}, groups...)...)
			return errors.Join(err, end())
		},
	}
	common.register(cmd.Flags(), ":9090")
	common.registerRoom(cmd.Flags())
	defaults.register(cmd.Flags())
	f.register(cmd.Flags())
	cmd.Flags().DurationVar(&f.drain, "drain", 0, "how long running steps may go on after the worker was told to stop, before they are handed to another")
	return cmd
}

// parts prepares a worker, in groups as runParts wants them. end releases what it holds,
// after the parts have ended.
func (f *workerFlags) parts(ctx context.Context, r *role, s service) (groups [][]part, end func() error, err error) {
	if err := checkChoice("executor", f.executor, executorProcess, executorKube, executorNoop); err != nil {
		return nil, nil, err
	}
	if err := queue.CheckPool(f.pool); err != nil {
		return nil, nil, usagef("--pool: %w", err)
	}
	kept, err := f.store.open()
	if err != nil {
		return nil, nil, err
	}
	objects := join.Objects{Objects: queue.NewObjects(r.conn)}
	guard := &egress.Guard{Local: f.local, Deny: append(r.conn.Addresses(), f.store.addresses()...)}
	kept.lend, kept.direct, kept.plugins = f.lend, f.direct, s.plugins
	kept.objects, kept.web, kept.buckets = objects, guard, &egress.Guard{Local: f.local, Deny: r.conn.Addresses()}
	store := worker.Patient(kept, r.log)
	swept := &sweepers{runs: queue.NewRuns(r.conn), alone: f.kube.alone, log: r.log}
	name := workerName()
	decoration := worker.Decoration{Metrics: worker.NewMetrics(r.registry), Logs: logSink{queue.NewLogs(r.conn)}, Archive: store, Deadlines: true}
	var base worker.Executor
	start := func(context.Context) error { return nil }
	stop := func() error { return nil }
	end = stop
	switch f.executor {
	case executorProcess:
		decoration.Store = store
		f.process.findVolumes(r.log)
		cfg, err := f.process.config()
		if err != nil {
			return nil, nil, err
		}
		cfg.Objects = objects
		if cfg.Log = r.log; f.store.dir != "" {
			cfg.Hide = append(cfg.Hide, f.store.dir)
		}
		e, err := process.New(ctx, cfg)
		if err != nil {
			return nil, nil, usagef("%w", err)
		}
		base, end = e, e.Close
		groups = append(groups, []part{swept.volumes(e)})
	case executorKube:
		e, gateway, err := f.kubeExecutor(ctx, r, store)
		if err != nil {
			return nil, nil, err
		}
		base, start, stop = e, e.Start, e.Close
		// Kubernetes keeps the time, from the pod's start. The gateway outlives the worker.
		decoration.Deadlines = false
		groups = append(groups, []part{gateway, swept.volumes(e), swept.jobs(e), swept.budgets(e)})
	case executorNoop:
		base = noop.Executor{}
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("reading the host's name: %w", err), end())
	}
	if f.executor != executorNoop { // which is to measure the engine alone
		base = agent.New(base, guard, objects, store, s.asked, host)
		cluster, err := f.acting(ctx, r)
		if err != nil {
			return nil, nil, errors.Join(err, end())
		}
		k := keeper{s.Service, queue.NewOwned(r.conn)}
		base = resource.New(base, cluster, k, store, host)
		groups = append(groups, []part{swept.owned(k)})
		if cluster != nil {
			groups = append(groups, []part{swept.anchors(cluster, f.kube.cluster.namespace)})
		}
		c := &collector{garbage: queue.NewGarbage(r.conn), runs: queue.NewRuns(r.conn), store: kept, log: r.log}
		groups = append(groups, []part{c.part(f.kube.alone)})
	}
	if f.slots <= 0 {
		if f.slots = runtime.NumCPU(); f.executor == executorKube {
			f.slots = 100
		}
	}
	tasks := queue.NewTasks(r.conn, name, 0)
	broker := queue.NewAsynq(r.conn)
	q := &join.Work{Broker: broker, Tasks: tasks, Pool: f.pool, Slots: f.slots}
	w, err := worker.New(worker.Config{Name: name, Host: host, Lease: tasks.Lease(), Drain: f.drain, Tracer: r.tracer()}, q, tasks, worker.Decorate(base, decoration, r.log), r.log)
	if err != nil {
		return nil, nil, errors.Join(err, broker.Close(), end())
	}
	groups = append(groups, []part{{"worker", func(take, work context.Context) error {
		if err := start(work); err != nil {
			return err
		}
		return errors.Join(w.Run(take), stop())
	}}})
	closeAll := end
	return groups, func() error { return errors.Join(broker.Close(), closeAll(), s.plugins.Close()) }, nil
}

// acting is the cluster that resource templates act in; nil if there is none.
func (f *workerFlags) acting(ctx context.Context, r *role) (*resource.Cluster, error) {
	if f.executor != executorKube && f.kube.cluster.kubeconfig == "" {
		return nil, nil
	}
	client, config, err := f.kube.cluster.client()
	if err != nil {
		return nil, err
	}
	owner, err := f.owner(ctx, r)
	if err != nil {
		return nil, err
	}
	// A fleet with a Redis of its own is its user's own, who could act in the cluster anyway.
	return resource.NewCluster(resource.ClusterConfig{Owner: owner, Own: f.kube.alone}, client, config), nil
}

// owner is what tells whose things in a cluster are: this installation's, with this Redis.
func (f *workerFlags) owner(ctx context.Context, r *role) (string, error) {
	identity, err := r.conn.Identity(ctx)
	return f.kube.install + "." + identity, err
}

// workerName names a worker process. No other may ever have the name: leases are held by it.
func workerName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "worker"
	}
	return fmt.Sprintf("%s-%d-%s", host, os.Getpid(), rand.Text()[:8])
}

// gatewayAddresses are how step pods reach any worker, and this one, which is at local. Without a
// Service over all workers a pod talks to the one that made it.
func gatewayAddresses(gatewayURL, ownURL, local string) (shared, own string, err error) {
	scheme := "https"
	if strings.HasPrefix(gatewayURL, "http://") {
		scheme = "http"
	}
	own = cmp.Or(ownURL, scheme+"://"+local)
	shared = cmp.Or(gatewayURL, own)
	for _, a := range []struct{ flag, address string }{{"--gateway-url", shared}, {"--worker-url", own}} {
		if u, err := url.Parse(a.address); err != nil || u.Host == "" || u.Scheme != scheme {
			return "", "", usagef("%s: step pods cannot reach this worker at %q: give https://host:port, or http in both --gateway-url and --worker-url to do without TLS", a.flag, a.address)
		}
	}
	return shared, own, nil
}

// kubeExecutor prepares Jobs as executor, and the gateway that their pods talk to.
func (f *workerFlags) kubeExecutor(ctx context.Context, r *role, store worker.ArtifactStore) (*kube.Executor, part, error) {
	if err := checkChoice("image-pull-policy", f.kube.pullPolicy,
		string(corev1.PullIfNotPresent), string(corev1.PullAlways), string(corev1.PullNever)); err != nil {
		return nil, part{}, err
	}
	client, config, err := f.kube.cluster.client()
	if err != nil {
		return nil, part{}, err
	}
	tokens, err := worker.NewTokens([]byte(os.Getenv("ARGOSY_GATEWAY_KEY")))
	if err != nil {
		return nil, part{}, usagef("ARGOSY_GATEWAY_KEY: %w", err)
	}
	listener, err := net.Listen("tcp", f.kube.gatewayAddr)
	if err != nil {
		return nil, part{}, usagef("--gateway-addr: %w", err)
	}
	host, err := kube.LocalAddress(ctx, config.Host)
	_, port, portErr := net.SplitHostPort(listener.Addr().String())
	if err = errors.Join(err, portErr); err != nil && f.kube.ownURL == "" {
		return nil, part{}, errors.Join(usagef("--worker-url: %w", err), listener.Close())
	}
	address, own, err := gatewayAddresses(f.kube.gatewayURL, f.kube.ownURL, net.JoinHostPort(host, port))
	if err != nil {
		return nil, part{}, errors.Join(err, listener.Close())
	}
	owner, err := f.owner(ctx, r)
	if err != nil {
		return nil, part{}, errors.Join(err, listener.Close())
	}
	processes, err := f.process.config() // they share what is known of images
	if err != nil {
		return nil, part{}, errors.Join(err, listener.Close())
	}
	var e *kube.Executor
	specs := queue.NewRuns(r.conn)
	gateway := worker.NewGateway(worker.GatewayConfig{
		URL: address, Own: own, Store: store, Tokens: tokens,
		Resolve: worker.Resolver(leafFinder{specs}, specs, r.tracer(), func(ctx context.Context, s *worker.Step) error { return e.Current(ctx, s) }),
		Tells:   (&join.Work{Tasks: queue.NewTasks(r.conn, "", 0)}).Tells,
	}, r.log)
	e, err = kube.New(kube.Config{
		Install: f.kube.install, Owner: owner, Images: processes.Images, Namespace: f.kube.cluster.namespace, RunnerImage: f.kube.runnerImage, NodeRunner: f.kube.nodeRunner, Grace: f.process.grace,
		PullPolicy: corev1.PullPolicy(f.kube.pullPolicy), EndOnShutdown: f.kube.alone,
	}, client, gateway, r.log)
	if err != nil {
		return nil, part{}, errors.Join(err, listener.Close())
	}
	return e, part{"gateway", func(take, _ context.Context) error { return gateway.Serve(take, listener) }}, nil
}
