package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"argosy/server/client"
	"argosy/workflow/spec"
)

// runFlags are those of `argosy run`.
type runFlags struct {
	fleetFlags
	overrideFlags
	logs   bool
	output string
}

func (a *app) run() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run FILE...",
		Short: "Run workflows here and now: up, submit, watch, and end with the outcome",
		Long: `Run workflows here and now: start a fleet in this process, submit the workflows of the
files (- is the standard input), show them until they have ended, and exit with the outcome.
The files may also hold what the workflows refer to: templates, config maps and secrets.
Nothing needs to be installed: steps are local processes, artifacts are files, and the state
is in a private Redis. Other executors and stores are flags.

All files are checked first: if one is wrong, nothing is started.`,
		Args: cobra.MinimumNArgs(1),
		Example: examples(
			"argosy run examples/map-reduce.yaml",
			"argosy run -p parts=8 examples/map-reduce.yaml",
			"argosy run -o json examples/map-reduce.yaml",
			"argosy run --executor kubernetes examples/map-reduce.yaml"),
		RunE: func(cmd *cobra.Command, files []string) error { return a.runHere(cmd.Context(), &f, files) },
	}
	f.fleetFlags.register(cmd, "", "127.0.0.1:0")
	for name, d := range map[string]struct{ env, value string }{
		"log-level": {"ARGOSY_LOG_LEVEL", "warn"}, "log-format": {"ARGOSY_LOG_FORMAT", "text"},
		"gateway-addr": {"ARGOSY_GATEWAY_ADDR", ":0"}, // several may run at once
		// Whoever runs workflows here and now could reach them anyway, and is who they run as.
		"allow-local-addresses": {"ARGOSY_ALLOW_LOCAL_ADDRESSES", "true"},
		"lend-cloud-identity":   {"ARGOSY_LEND_CLOUD_IDENTITY", "true"},
	} {
		l := cmd.Flags().Lookup(name)
		l.DefValue = envOr(d.env, d.value)
		_ = l.Value.Set(l.DefValue) // a default of ours
	}
	cmd.Flags().Lookup("artifacts").Usage = "directory to keep artifacts in (env ARGOSY_ARTIFACTS; default: a temporary one, removed at the end)"
	cmd.Flags().Lookup("volumes").Usage = "directory for volumes (env ARGOSY_VOLUMES; default: a temporary one, removed at the end)"
	f.overrideFlags.register(cmd.Flags())
	cmd.Flags().BoolVar(&f.logs, "log", false, "print what steps write instead of the tree")
	cmd.Flags().StringVarP(&f.output, "output", "o", "", "json or yaml: print each workflow as it ended instead of the tree")
	cmd.MarkFlagsMutuallyExclusive("log", "output")
	return cmd
}

func (a *app) runHere(ctx context.Context, f *runFlags, files []string) error {
	if err := checkChoice("output", f.output, "", "json", "yaml"); err != nil {
		return err
	}
	override, err := f.override()
	if err != nil {
		return err
	}
	given, err := a.parseAll(files, override, f.redis.url == "", f.server.known())
	if err != nil {
		return err
	}
	if len(given.workflows) == 0 {
		return usagef("there is no %s to run", spec.KindWorkflow)
	}
	remove, err := f.temporaryStore()
	if err != nil {
		return err
	}
	fl, err := f.fleetFlags.open(ctx, a)
	if err != nil {
		return errors.Join(err, remove())
	}
	if err = fl.keep(ctx, given.objects, a.ns()); err == nil {
		err = a.runOn(ctx, fl, f, given.workflows)
	}
	return errors.Join(err, fl.end(), remove())
}

// temporaryStore keeps artifacts and volumes for the time of the run, unless it was said where.
func (f *runFlags) temporaryStore() (remove func() error, err error) {
	var dirs []string
	remove = func() error {
		var errs []error
		for _, dir := range dirs {
			errs = append(errs, os.RemoveAll(dir))
		}
		return errors.Join(errs...)
	}
	for _, of := range []struct {
		what  string
		given bool
		dir   *string
	}{
		{"artifacts", f.worker.store.dir != "" || f.worker.store.s3.endpoint != "", &f.worker.store.dir},
		{"volumes", f.worker.process.volumes != "", &f.worker.process.volumes},
	} {
		if of.given {
			continue
		}
		dir, err := os.MkdirTemp("", "argosy-"+of.what+"-")
		if err != nil {
			return nil, errors.Join(fmt.Errorf("making a directory for %s: %w", of.what, err), remove())
		}
		dirs, *of.dir = append(dirs, dir), dir
	}
	return remove, nil
}

// runOn submits the workflows to the fleet and shows them until they have ended.
func (a *app) runOn(ctx context.Context, fl *fleet, f *runFlags, workflows []*spec.Workflow) error {
	serving, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- runParts(serving, fl.groups...) }()

	shown := make(chan error, 1)
	go func() { shown <- a.showAll(serving, fl, f, workflows) }()
	select {
	case err := <-shown:
		stop()
		return errors.Join(err, <-ended)
	case err := <-ended: // the fleet failed, or was interrupted
		stop()
		return errors.Join(err, <-shown)
	}
}

func (a *app) showAll(ctx context.Context, fl *fleet, f *runFlags, workflows []*spec.Workflow) error {
	c, err := client.New(fl.addr, "")
	if err != nil {
		return err
	}
	c.Trace = a.trace()
	created := make([]*spec.Workflow, 0, len(workflows))
	for _, wf := range workflows {
		ns := wf.Namespace
		if a.conn.namespace != "" || ns == "" {
			ns = a.ns()
		}
		done, err := c.Submit(ctx, ns, wf, false)
		if err != nil {
			return fmt.Errorf("submitting %s: %w", describe(wf), err)
		}
		created = append(created, done)
	}
	var outcomes []error
	where := " --argosy-server " + fl.addr
	for i, wf := range created {
		here := where
		if wf.Namespace != "default" {
			here += " -n " + wf.Namespace
		}
		if f.logs {
			if waits(workflows[i]) {
				fmt.Fprintf(a.err, "%s may wait for somebody; to go on: argosy%s resume %s\n", wf.Name, here, wf.Name)
			}
			if err := a.followLogs(ctx, c, wf.Namespace, wf.Name); err != nil {
				return err
			}
			outcomes = append(outcomes, a.waitFor(ctx, c, []target{{wf.Namespace, wf.Name}}, false))
			continue
		}
		if f.output != "" {
			last, err := a.ended(ctx, c, wf)
			if err != nil {
				return err
			}
			if err := printObject(a.out, f.output, last); err != nil {
				return err
			}
			outcomes = append(outcomes, outcome(last))
			continue
		}
		last, err := a.follow(ctx, c, wf.Namespace, wf.Name, here)
		if err != nil {
			return err
		}
		outcomes = append(outcomes, outcome(last))
	}
	return errors.Join(outcomes...)
}

// ended waits for a workflow's end and reads it in whole.
func (a *app) ended(ctx context.Context, c *client.Client, wf *spec.Workflow) (*spec.Workflow, error) {
	if _, err := a.track(ctx, c, wf.Namespace, wf.Name, func(*spec.Workflow) error { return nil }); err != nil {
		return nil, err
	}
	return c.Get(ctx, wf.Namespace, wf.Name, "")
}
