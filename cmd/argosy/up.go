package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"argosy/artifacts"
	"argosy/artifacts/plugin"
	"argosy/queue"
	"argosy/server"
)

// fleetFlags are what a process that runs every role is told.
type fleetFlags struct {
	roleFlags
	embedded    string
	coordinator coordinatorFlags
	worker      workerFlags
	server      serverFlags
}

func (f *fleetFlags) register(cmd *cobra.Command, metrics, addr string) {
	flags := cmd.Flags()
	f.roleFlags.register(flags, metrics)
	f.registerRoom(flags)
	// Unlike a single role, a whole fleet brings its own Redis unless it is given one.
	url := flags.Lookup("redis-url")
	url.DefValue = envOr("ARGOSY_REDIS_URL", "")
	f.redis.url = url.DefValue
	url.Usage = "Redis that holds the runs (env ARGOSY_REDIS_URL; default: a private one, see --embedded)"
	flags.StringVar(&f.embedded, "embedded", "", `what a private Redis is: server (redis-server), memory (in this process); "" takes the first that is there`)
	f.worker.register(flags)
	f.server.register(flags)
	if addr != "" {
		l := flags.Lookup("addr")
		l.DefValue = envOr("ARGOSY_ADDR", addr)
		f.server.addr = l.DefValue
	}
	f.coordinator.register(flags)
}

// fleet is every role in one process, ready to run.
type fleet struct {
	role   *role
	groups [][]part
	addr   string // of the server
	service
	end func() error
}

// open prepares a fleet. Its end releases everything, after the parts have ended.
func (f *fleetFlags) open(ctx context.Context, a *app) (*fleet, error) {
	end := func() error { return nil }
	if f.redis.url == "" {
		if err := checkChoice("embedded", f.embedded, "", string(queue.EmbeddedServer), string(queue.EmbeddedMemory)); err != nil {
			return nil, err
		}
		e, err := queue.StartEmbedded(ctx, queue.EmbeddedKind(f.embedded))
		if err != nil {
			return nil, fmt.Errorf("starting a private Redis: %w", err)
		}
		f.redis.url, end = e.URL, e.Stop
		f.worker.kube.alone = true
	}
	r, err := f.roleFlags.open(ctx, a, "fleet")
	if err != nil {
		return nil, errors.Join(err, end())
	}
	fl := &fleet{role: r, end: func() error { r.close(); return end() }}
	if err := fl.assemble(ctx, f, r); err != nil {
		return nil, errors.Join(err, fl.end())
	}
	return fl, nil
}

// assemble joins the roles in the order in which they start.
func (fl *fleet) assemble(ctx context.Context, f *fleetFlags, r *role) error {
	if err := queue.RegisterMetrics(r.registry, queue.NewDemand(r.conn)); err != nil {
		return err
	}
	if err := r.watchRoom(ctx); err != nil {
		return err
	}
	f.coordinator.pool = f.worker.pool
	if err := f.coordinator.check(); err != nil {
		return err
	}
	f.coordinator.events.cluster = &f.worker.kube.cluster
	f.coordinator.archive.store = &f.worker.store
	archiving, err := f.coordinator.archive.parts(r)
	if err != nil {
		return err
	}
	f.server.archived = func() (artifacts.Ranged, error) { return f.worker.store.store() }
	f.server.served = func(r *role, p *plugin.Plugins) (server.Artifacts, error) {
		return f.worker.store.served(r, p, f.worker.local, false)
	}
	if fl.service, err = f.server.service(r); err != nil {
		return err
	}
	workers, endWorkers, err := f.worker.parts(ctx, r, fl.service)
	if err != nil {
		return err
	}
	endRest := fl.end
	fl.end = func() error { return errors.Join(endWorkers(), endRest()) }
	serving, addr, err := f.server.parts(r, fl.service)
	if err != nil {
		return err
	}
	fl.addr = addr
	turns, err := f.coordinator.parts(r, fl.service)
	if err != nil {
		return err
	}
	fl.groups = slices.Concat([][]part{r.monitor(), archiving}, turns, workers, [][]part{serving})
	return nil
}

func (a *app) up() *cobra.Command {
	var f fleetFlags
	cmd := &cobra.Command{
		Use:   "up [FILE...]",
		Short: "Run every role in this process: coordinator, worker and server",
		Long: `Run every role in this process: coordinator, worker and server.

Without --redis-url the runs live in a private Redis and end with this process. Files may hold
what workflows refer to: templates, config maps and secrets.`,
		Example: examples(
			"argosy up",
			"argosy up --redis-url redis://localhost:6379/0 --executor kubernetes"),
		RunE: func(cmd *cobra.Command, files []string) error {
			given, err := a.parseObjects(files)
			if err != nil {
				return err
			}
			private := f.redis.url == ""
			fl, err := f.open(cmd.Context(), a)
			if err != nil {
				return err
			}
			if private {
				fl.role.log.Warn("runs are kept in a private Redis and end with this process; --redis-url keeps them")
			}
			if err := fl.keep(cmd.Context(), given, a.ns()); err != nil {
				return errors.Join(err, fl.end())
			}
			fmt.Fprintf(a.err, "argosy is up: argosy submit --argosy-server %s FILE\n", fl.addr)
			return errors.Join(runParts(cmd.Context(), fl.groups...), fl.end())
		},
	}
	f.register(cmd, "", "")
	return cmd
}
