package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"argosy/autoscale"
	"argosy/queue"
)

// autoscalerFlags say which workers to size, and by what rules.
type autoscalerFlags struct {
	cluster    clusterFlags
	pool       string
	deployment string
	policy     autoscale.Policy
	interval   time.Duration
}

func (f *autoscalerFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.deployment, "deployment", envOr("ARGOSY_DEPLOYMENT", "argosy-worker"), "Deployment of the workers (env ARGOSY_DEPLOYMENT)")
	flags.IntVar(&f.policy.Min, "min", 0, "fewest workers")
	flags.IntVar(&f.policy.Max, "max", 10, "most workers")
	flags.IntVar(&f.policy.Slots, "slots", 100, "steps that one worker runs at once: its own --slots")
	flags.DurationVar(&f.policy.Idle, "idle", time.Minute, "how long demand must have stayed lower before workers go")
	flags.DurationVar(&f.interval, "interval", 2*time.Second, "time between two looks")
}

func (a *app) autoscaler() *cobra.Command {
	var common roleFlags
	var f autoscalerFlags
	cmd := &cobra.Command{
		Use:   "autoscaler",
		Short: "Size a Deployment of workers by what is queued and running, down to zero",
		Args:  cobra.NoArgs,
		Example: examples(
			"argosy autoscaler -n argosy --deployment argosy-worker --max 20 --idle 2m"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := queue.CheckPool(f.pool); err != nil {
				return usagef("--pool: %w", err)
			}
			r, err := common.open(cmd.Context(), a, "autoscaler")
			if err != nil {
				return err
			}
			defer r.close()
			f.cluster.namespace = a.ns()
			client, _, err := f.cluster.client()
			if err != nil {
				return err
			}
			loop, err := autoscale.NewLoop(autoscale.Config{
				Pool: f.pool, Policy: f.policy, Interval: f.interval, Observer: demandObserver{queue.NewDemand(r.conn)},
				Scaler:  autoscale.NewKube(client, f.cluster.namespace, f.deployment, r.log),
				Metrics: autoscale.NewMetrics(r.registry), Log: r.log.With("hop", "scale"),
			})
			if err != nil {
				return usagef("%w", err)
			}
			return runParts(cmd.Context(), r.monitor(), []part{{"autoscaler", func(take, _ context.Context) error {
				loop.Run(take)
				return nil
			}}})
		},
	}
	common.register(cmd.Flags(), ":9090")
	f.register(cmd.Flags())
	f.cluster.register(cmd.Flags())
	cmd.Flags().StringVar(&f.pool, "pool", envOr("ARGOSY_POOL", defaultPool), "pool that the workers serve (env ARGOSY_POOL)")
	return cmd
}

// demandObserver lets the autoscaler see what the queue holds.
type demandObserver struct{ demand *queue.Demand }

func (o demandObserver) Observe(ctx context.Context, pool string) (autoscale.Observation, error) {
	l, err := o.demand.Pool(ctx, pool)
	if err != nil {
		return autoscale.Observation{}, err
	}
	return autoscale.Observation{
		Pool: pool, Ready: l.Ready, Running: l.Running, Waiting: l.Waiting, OldestAge: l.OldestAge, At: time.Now(),
	}, nil
}
