package kube

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"

	"argosy/worker"
	"argosy/worker/warm"
)

// Config sets an Executor up. Zero values mean their defaults.
type Config struct {
	// Install tells apart the Jobs of several installs in one cluster; default "argosy".
	Install string
	// Images are what images start, for steps without a command that the runner must wrap.
	Images worker.Images
	// Owner is the label value of what is kept for runs: it tells this install, with this Redis,
	// from others; default Install.
	Owner string
	// Namespace is the only one to watch and to run steps in; empty is all of them.
	Namespace string
	// RunnerImage has argosy-step in its PATH; default "argosy:latest".
	RunnerImage string
	// NodeRunner is the folder of every node that has argosy-step, put there by a DaemonSet: pods
	// mount it. Default none: an init container of RunnerImage brings it.
	NodeRunner string
	// Grace is how long a step may take to end when asked to; default 30 s.
	Grace time.Duration
	// TTL is how long ended Jobs are kept; default 10 min. It must outlast a worker's death
	// until another one has taken over, as results are read from the ended Job's pod.
	TTL time.Duration
	// EndOnShutdown ends steps when their worker shuts down, for a worker that no other will
	// take over from. Otherwise their Jobs are left to be adopted.
	EndOnShutdown bool
	// ImageDeadline is how long a pod may wait for its image, or for a secret or config map
	// that it names, once Kubernetes has said that it cannot be had; default 2 min.
	ImageDeadline time.Duration
	// Restarts is how often a pod is made anew that was taken away before it started: preempted,
	// refused by its node, deleted; default 3, and none if it is negative.
	Restarts int
	// SweepAfter is how old a Job is at least that is swept while it runs; default 1 min.
	SweepAfter time.Duration
	// PullPolicy is for containers that name none; default IfNotPresent, whatever the tag:
	// see docs/adr/0003-image-pull-policy.md.
	PullPolicy corev1.PullPolicy
}

func (c Config) withDefaults() Config {
	if c.Install == "" {
		c.Install = "argosy"
	}
	if c.Owner == "" {
		c.Owner = c.Install
	}
	if c.RunnerImage == "" {
		c.RunnerImage = "argosy:latest"
	}
	if c.Grace <= 0 {
		c.Grace = 30 * time.Second
	}
	if c.TTL <= 0 {
		c.TTL = 10 * time.Minute
	}
	if c.ImageDeadline <= 0 {
		c.ImageDeadline = 2 * time.Minute
	}
	if c.Restarts == 0 {
		c.Restarts = 3
	}
	if c.SweepAfter <= 0 {
		c.SweepAfter = time.Minute
	}
	if c.PullPolicy == "" {
		c.PullPolicy = corev1.PullIfNotPresent
	}
	return c
}

// Executor runs steps as Jobs.
type Executor struct {
	cfg     Config
	client  kubernetes.Interface
	gateway *worker.Gateway
	hub     *hub
	warned  *warnings
	budgets sync.Map // runs whose podDisruptionBudget is there
	pools   *warm.Pools
	log     *slog.Logger
}

var _ worker.Executor = (*Executor)(nil)

// New makes an executor. The gateway serves the pods of steps that stage files. Start must
// be called before the first step.
func New(cfg Config, client kubernetes.Interface, gateway *worker.Gateway, log *slog.Logger) (*Executor, error) {
	cfg = cfg.withDefaults()
	if gateway == nil {
		return nil, errors.New("the kubernetes executor needs a gateway")
	}
	hub, err := newHub(client, cfg.Namespace, cfg.Install)
	if err != nil {
		return nil, fmt.Errorf("setting up the watches: %w", err)
	}
	warned, err := newWarnings(client, cfg.Namespace)
	if err != nil {
		return nil, err
	}
	return &Executor{cfg: cfg, client: client, gateway: gateway, hub: hub, warned: warned, pools: warm.NewPools(log), log: log}, nil
}

// Close ends the pods that stay for steps to come. No step may be under way.
func (e *Executor) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	return e.pools.Close(ctx)
}

// Start begins to watch and returns when all that is there is known. The watches end with
// ctx, which must outlive the steps.
func (e *Executor) Start(ctx context.Context) error {
	e.warned.begin(ctx)
	return e.hub.start(ctx)
}
