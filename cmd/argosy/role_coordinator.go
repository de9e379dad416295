package main

import (
	"context"

	"github.com/spf13/cobra"

	"argosy/cmd/argosy/internal/join"
	"argosy/coordinator"
	"argosy/queue"
	"argosy/workflow"
)

// coordinatorFlags tune a coordinator.
type coordinatorFlags struct {
	pool     string
	parallel int
	inFlight int
}

func (a *app) coordinator() *cobra.Command {
	var common roleFlags
	var f coordinatorFlags
	cmd := &cobra.Command{
		Use:   "coordinator",
		Short: "Advance workflows and send their steps to the queue",
		Long: `Advance workflows and send their steps to the queue.

Any number of coordinators may run at once; none has a state that another needs.`,
		Args:    cobra.NoArgs,
		Example: examples("argosy coordinator --redis-url redis://redis:6379/0"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := common.open(cmd.Context(), a, "coordinator")
			if err != nil {
				return err
			}
			defer r.close()
			if err := queue.RegisterMetrics(r.registry, queue.NewDemand(r.conn)); err != nil {
				return err
			}
			return runParts(cmd.Context(), r.monitor(), f.parts(r))
		},
	}
	common.register(cmd.Flags(), ":9090")
	cmd.Flags().StringVar(&f.pool, "pool", defaultPool, "pool of workers to send steps to")
	cmd.Flags().IntVar(&f.parallel, "turns", 4, "turns to take at once")
	cmd.Flags().IntVar(&f.inFlight, "max-in-flight", defaultInFlight, "steps that one run may have on the queue")
	return cmd
}

const (
	defaultPool     = "default"
	defaultInFlight = 1000
)

func (f *coordinatorFlags) parts(r *role) []part {
	return []part{{"coordinator", func(take, work context.Context) error {
		broker := queue.NewAsynq(r.conn)
		defer broker.Close()
		turns := queue.NewTurns(r.conn, broker, queue.TurnOptions{})
		defer turns.Close()
		c := coordinator.New(join.Turns{Turns: turns}, coordinator.Config{
			Parallel: f.parallel, Pool: f.pool, Limits: workflow.Limits{InFlight: f.inFlight},
		}, coordinator.NewMetrics(r.registry), r.log)
		return c.Run(take, work)
	}}, {"sweeper of specs", func(take, _ context.Context) error {
		queue.NewRuns(r.conn).KeepSwept(take)
		return nil
	}}}
}
