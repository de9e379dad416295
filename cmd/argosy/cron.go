package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"argosy/server/client"
	"argosy/workflow/cron"
	"argosy/workflow/spec"
)

// cron is `argosy cron`.
func (a *app) cron() *cobra.Command {
	v := objectVerbs{
		app: a, kind: spec.KindCronWorkflow, what: "cron workflow", use: "cron", aliases: []string{"cronwf", "cwf"},
		describe: a.describeCron, header: "LAST RUN\tNEXT RUN\tSCHEDULES\tTIMEZONE\tSUSPENDED", row: a.cronRow,
	}
	cmd := v.command()
	cmd.AddCommand(v.suspend(), v.resume(), v.backfill())
	return cmd
}

func (v *objectVerbs) suspend() *cobra.Command {
	return v.suspending("suspend", "Have cron workflows fire no more", true)
}

func (v *objectVerbs) resume() *cobra.Command {
	return v.suspending("resume", "Have cron workflows fire again", false)
}

func (v *objectVerbs) suspending(verb, short string, suspend bool) *cobra.Command {
	return &cobra.Command{
		Use: verb + " NAME...", Short: short, Args: cobra.MinimumNArgs(1), Example: examples("argosy cron " + verb + " nightly"),
		RunE: func(cmd *cobra.Command, names []string) error {
			c, err := v.client()
			if err != nil {
				return err
			}
			for _, name := range names {
				if err := c.SuspendCron(cmd.Context(), v.ns(), name, suspend); err != nil {
					return err
				}
				fmt.Fprintf(v.out, "CronWorkflow '%s' %s\n", name, map[bool]string{true: "suspended", false: "resumed"}[suspend])
			}
			return nil
		},
	}
}

// cronRow is what a list tells of a cron workflow.
func (a *app) cronRow(object json.RawMessage) (string, error) {
	var c spec.CronWorkflow
	if err := json.Unmarshal(object, &c); err != nil {
		return "", fmt.Errorf("reading a cron workflow: %w", err)
	}
	last, next := "N/A", "N/A"
	if t := c.Status.LastScheduledTime; t != nil {
		last = a.now().Sub(t.Time).Truncate(time.Second).String()
	}
	if at, err := a.nextTick(&c); err == nil && !at.IsZero() {
		next = at.Sub(a.now()).Truncate(time.Second).String()
	}
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%t", last, next, strings.Join(c.Spec.Schedules, ","), c.Spec.Timezone, c.Spec.Suspend), nil
}

// nextTick is when a cron workflow fires next; zero if it does not.
func (a *app) nextTick(c *spec.CronWorkflow) (time.Time, error) {
	if c.Spec.Suspend || c.Status.Phase == spec.CronWorkflowStopped {
		return time.Time{}, nil
	}
	schedule, err := cron.Parse(&c.Spec, c.CreationTimestamp.Time)
	if err != nil {
		return time.Time{}, err
	}
	return schedule.Next(a.now()), nil
}

// describeCron is what get shows.
func (a *app) describeCron(out io.Writer, object json.RawMessage) error {
	var c spec.CronWorkflow
	if err := json.Unmarshal(object, &c); err != nil {
		return fmt.Errorf("reading a cron workflow: %w", err)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	field := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%s:\t%s\n", name, value)
		}
	}
	field("Name", c.Name)
	field("Namespace", c.Namespace)
	field("Created", when(c.CreationTimestamp.Time))
	for _, s := range c.Spec.Schedules {
		field("Schedule", s)
	}
	field("Timezone", c.Spec.Timezone)
	field("Suspended", fmt.Sprint(c.Spec.Suspend))
	if d := c.Spec.StartingDeadlineSeconds; d != nil {
		field("StartingDeadlineSeconds", fmt.Sprint(*d))
	}
	field("ConcurrencyPolicy", string(c.Spec.ConcurrencyPolicy))
	field("When", c.Spec.When)
	if s := c.Spec.StopStrategy; s != nil {
		field("StopStrategy", s.Expression)
	}
	field("Phase", string(c.Status.Phase))
	if c.Status.Succeeded+c.Status.Failed > 0 {
		field("Succeeded", fmt.Sprint(c.Status.Succeeded))
		field("Failed", fmt.Sprint(c.Status.Failed))
	}
	if t := c.Status.LastScheduledTime; t != nil {
		field("LastScheduledTime", when(t.Time))
	}
	if next, err := a.nextTick(&c); err == nil && !next.IsZero() {
		field("NextScheduledTime", when(next))
	}
	var active []string
	for _, run := range c.Status.Active {
		active = append(active, run.Name)
	}
	field("Active Workflows", strings.Join(active, ", "))
	for _, condition := range c.Status.Conditions {
		field(string(condition.Type), condition.Message)
	}
	return w.Flush()
}

func when(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// backfillFlags are those of `argosy cron backfill`.
type backfillFlags struct {
	start, end, argument, name string
	parallel                   bool
	most                       int
}

// parallelBackfill is how many runs are submitted at once.
const parallelBackfill = 8

func (v *objectVerbs) backfill() *cobra.Command {
	var f backfillFlags
	cmd := &cobra.Command{
		Use: "backfill NAME", Short: "Run a cron workflow for the ticks of a time that is over", Args: cobra.ExactArgs(1),
		Long: `Run a cron workflow for the ticks of a time that is over: one run for each of them, which gets
its tick as a parameter.`,
		Example: examples("argosy cron backfill nightly --start 2026-01-01T00:00:00Z --end 2026-02-01T00:00:00Z"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return v.runBackfill(cmd.Context(), args[0], &f)
		},
	}
	s := cmd.Flags()
	s.StringVar(&f.start, "start", "", "first time to run for, as 2006-01-02T15:04:05-07:00")
	s.StringVar(&f.end, "end", "", "last time to run for; the default is now")
	s.StringVar(&f.argument, "argname", "cronScheduleTime", "parameter that gets the tick")
	s.StringVar(&f.name, "name", "", "what the names of the runs begin with; the default is NAME-backfill")
	s.BoolVar(&f.parallel, "parallel", false, "submit several runs at once")
	s.IntVar(&f.most, "maxworkflowcount", 1000, "runs that may be needed at most")
	if err := cmd.MarkFlagRequired("start"); err != nil {
		panic(err) // it was defined above
	}
	return cmd
}

func (v *objectVerbs) runBackfill(ctx context.Context, name string, f *backfillFlags) error {
	start, err := time.Parse(time.RFC3339, f.start)
	if err != nil {
		return usagef("--start: %w", err)
	}
	end := v.now()
	if f.end != "" {
		if end, err = time.Parse(time.RFC3339, f.end); err != nil {
			return usagef("--end: %w", err)
		}
	}
	c, err := v.client()
	if err != nil {
		return err
	}
	object, err := c.Object(ctx, v.kind, v.ns(), name)
	if err != nil {
		return err
	}
	var cw spec.CronWorkflow
	if err := json.Unmarshal(object, &cw); err != nil {
		return fmt.Errorf("reading cron workflow %s: %w", name, err)
	}
	schedule, err := cron.Parse(&cw.Spec, start)
	if err != nil {
		return err
	}
	var ticks []time.Time
	for at := schedule.Next(start.Add(-time.Nanosecond)); !at.IsZero() && !at.After(end); at = schedule.Next(at) {
		if ticks = append(ticks, at); len(ticks) > f.most {
			return usagef("there are more than %d ticks: choose a shorter time, or raise --maxworkflowcount", f.most)
		}
	}
	base := f.name
	if base == "" {
		base = name + "-backfill"
	}
	var g errgroup.Group
	if g.SetLimit(1); f.parallel {
		g.SetLimit(parallelBackfill)
	}
	for _, at := range ticks {
		g.Go(func() error {
			o := client.FromOptions{
				Name: fmt.Sprintf("%s-%d", base, at.Unix()), Parameters: []string{f.argument + "=" + when(at)},
			}
			_, err := c.SubmitFrom(ctx, v.ns(), "cronwf", name, o)
			if err != nil {
				return fmt.Errorf("submitting %s: %w", o.Name, err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	fmt.Fprintf(v.out, "%d workflows submitted\n", len(ticks))
	return nil
}
