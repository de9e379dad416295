package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"argosy/server/client"
	"argosy/workflow/spec"
)

// submitFlags are those of `argosy submit` alone.
type submitFlags struct {
	overrideFlags
	wait, watch, log     bool
	waitForRoom          bool
	dryRun, serverDryRun bool
	output, from         string
}

// submit is `argosy submit`.
func (a *app) submit() *cobra.Command {
	var f submitFlags
	cmd := &cobra.Command{
		Use:   "submit FILE... | submit --from KIND/NAME",
		Short: "Submit workflows",
		Long: `Submit the workflows of files; - is the standard input. All of them are checked first:
if one is wrong, none is started. --from submits a stored template.`,
		Example: examples(
			"argosy submit examples/map-reduce.yaml",
			"argosy submit --watch -p parts=8 examples/map-reduce.yaml",
			"argosy submit --wait -o name - < hello.yaml",
			"argosy submit --dry-run -o yaml hello.yaml",
			"argosy submit --from workflowtemplate/hello -p text=hi",
		),
		RunE: func(cmd *cobra.Command, args []string) error { return a.runSubmit(cmd.Context(), &f, args) },
	}
	s := cmd.Flags()
	f.register(s)
	s.StringVar(&f.from, "from", "", "stored template to submit: workflowtemplate/NAME, clusterworkflowtemplate/NAME or cronwf/NAME")
	s.BoolVarP(&f.wait, "wait", "w", false, "wait until the runs have ended")
	s.BoolVar(&f.watch, "watch", false, "show the run until it has ended")
	s.BoolVar(&f.log, "log", false, "print the run's logs until it has ended")
	s.BoolVar(&f.waitForRoom, "wait-for-room", false, "when the server has no room for more workflows, wait and try again until it has")
	s.BoolVar(&f.dryRun, "dry-run", false, "check and print, without a server")
	s.BoolVar(&f.serverDryRun, "server-dry-run", false, "have the server check and print, and keep nothing")
	s.StringVarP(&f.output, "output", "o", "", "name, json, yaml or wide")
	return cmd
}

func (a *app) runSubmit(ctx context.Context, f *submitFlags, files []string) error {
	if err := checkChoice("output", f.output, "", "name", "json", "yaml", "wide"); err != nil {
		return err
	}
	if (f.from != "") == (len(files) > 0) {
		return usagef("submit requires at least 1 arg: files, or --from with what is stored")
	}
	if f.from != "" {
		return a.submitFrom(ctx, f)
	}
	override, err := f.override()
	if err != nil {
		return err
	}
	workflows, err := a.parseWorkflows(files, override)
	if err != nil {
		return err
	}
	if len(workflows) > 1 && (f.watch || f.log) {
		return usagef("--watch and --log need a single workflow, there are %d", len(workflows))
	}
	if f.dryRun {
		for _, wf := range workflows {
			if err := a.printSubmitted(wf, f.output, true); err != nil {
				return err
			}
		}
		return nil
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	var runs []target
	for _, wf := range workflows {
		ns := a.conn.namespace
		if ns == "" {
			ns = wf.Namespace
		}
		if ns == "" {
			ns = a.ns()
		}
		created, err := a.submitOne(ctx, f, func() (*spec.Workflow, error) { return c.Submit(ctx, ns, wf, f.serverDryRun) })
		if err != nil {
			return fmt.Errorf("submitting %s: %w", describe(wf), err)
		}
		if err := a.printSubmitted(created, f.output, f.serverDryRun); err != nil {
			return err
		}
		runs = append(runs, target{created.Namespace, created.Name})
	}
	if f.serverDryRun {
		return nil
	}
	return a.accompany(ctx, c, f, runs)
}

// The pauses between two tries to submit while the server has no room.
const (
	firstRoomPause = time.Second
	mostRoomPause  = 30 * time.Second
)

// submitOne submits a workflow, and waits until the server has room if it is to.
func (a *app) submitOne(ctx context.Context, f *submitFlags, submit func() (*spec.Workflow, error)) (*spec.Workflow, error) {
	for pause := firstRoomPause; ; pause = min(2*pause, mostRoomPause) {
		created, err := submit()
		if !f.waitForRoom || !client.Exhausted(err) {
			return created, err
		}
		if pause == firstRoomPause {
			fmt.Fprintf(a.err, "waiting for room: %v\n", err)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause/2 + rand.N(pause)): // many may wait
		}
	}
}

// submitFrom submits a stored template.
func (a *app) submitFrom(ctx context.Context, f *submitFlags) error {
	kind, name, ok := strings.Cut(f.from, "/")
	if !ok || name == "" {
		return usagef("--from: expected KIND/NAME, found %q", f.from)
	}
	if f.dryRun {
		return usagef("--dry-run needs no server, and --from does; use --server-dry-run")
	}
	o, err := f.fromOptions()
	if err != nil {
		return err
	}
	o.ServerDryRun = f.serverDryRun
	c, err := a.client()
	if err != nil {
		return err
	}
	created, err := a.submitOne(ctx, f, func() (*spec.Workflow, error) { return c.SubmitFrom(ctx, a.ns(), kind, name, o) })
	if err != nil {
		return fmt.Errorf("submitting %s: %w", f.from, err)
	}
	if err := a.printSubmitted(created, f.output, f.serverDryRun); err != nil || f.serverDryRun {
		return err
	}
	return a.accompany(ctx, c, f, []target{{created.Namespace, created.Name}})
}

// accompany does what the flags ask for after the submission.
func (a *app) accompany(ctx context.Context, c *client.Client, f *submitFlags, runs []target) error {
	switch {
	case f.watch:
		wf, err := a.follow(ctx, c, runs[0].namespace, runs[0].name, "")
		if err != nil {
			return err
		}
		return outcome(wf)
	case f.log:
		if err := a.followLogs(ctx, c, runs[0].namespace, runs[0].name); err != nil {
			return err
		}
		return a.waitFor(ctx, c, runs, false)
	case f.wait:
		return a.waitFor(ctx, c, runs, false)
	}
	return nil
}

func (a *app) printSubmitted(wf *spec.Workflow, output string, dry bool) error {
	switch output {
	case "json", "yaml":
		return printObject(a.out, output, wf)
	case "name":
		_, err := fmt.Fprintln(a.out, describe(wf))
		return err
	}
	verb := "submitted"
	if dry {
		verb = "would be submitted"
	}
	_, err := fmt.Fprintf(a.out, "%s %s\n", describe(wf), verb)
	return err
}
