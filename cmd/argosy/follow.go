package main

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"

	"argosy/cmd/argosy/internal/tree"
	"argosy/server/client"
	"argosy/workflow/spec"
)

// tailLines is how much of the log of a failed pod the end of a run shows.
const tailLines = 5

// follow shows a run until it has ended: a live tree on a terminal, a line for each change
// otherwise, and in the end how it went. It returns the run's last state. where has the flags
// that lead to its server, for what is said of nodes that wait.
func (a *app) follow(ctx context.Context, c *client.Client, ns, name, where string) (*spec.Workflow, error) {
	screen := &tree.Screen{W: a.out, Now: a.now, Colour: a.colour(a.out), ASCII: a.ascii()}
	show := screen.Log
	if _, _, ok := terminal(a.out); ok && a.env("TERM") != "dumb" {
		screen.Size = func() (int, int) {
			w, h, _ := terminal(a.out)
			return w, h
		}
		show = screen.Live
	}
	states := make(chan *spec.Workflow)
	shown := make(chan struct{})
	go func() {
		defer close(shown)
		show(ctx, states)
	}()
	last, err := a.track(ctx, c, ns, name, func(wf *spec.Workflow) error {
		sayHow(wf, where)
		select {
		case states <- wf:
		case <-shown:
		}
		return nil
	})
	close(states)
	<-shown
	if err != nil {
		return last, err
	}
	a.closing(ctx, c, last)
	return last, nil
}

// track calls each with every state of a run until it has ended, and returns the last one.
func (a *app) track(ctx context.Context, c *client.Client, ns, name string, each func(*spec.Workflow) error) (*spec.Workflow, error) {
	var last *spec.Workflow
	err := c.Follow(ctx, ns, name, func(wf *spec.Workflow) error {
		last = wf
		return each(wf)
	})
	return last, err
}

// closing prints how a run ended.
func (a *app) closing(ctx context.Context, c *client.Client, wf *spec.Workflow) {
	tail := func(pod string) []string {
		var lines []string
		err := c.Logs(ctx, wf.Namespace, wf.Name, client.LogOptions{PodName: pod, Tail: tailLines}, func(l client.LogLine) error {
			lines = append(lines, l.Content)
			return nil
		})
		if err != nil {
			return []string{fmt.Sprintf("(its log cannot be read: %v)", err)}
		}
		return lines
	}
	o := tree.Options{Now: a.now(), Colour: a.colour(a.out), ASCII: a.ascii()}
	for _, l := range tree.Closing(wf, o, tail) {
		fmt.Fprintln(a.out, l)
	}
}

// outcome is the error with which a command ends that waited for the run.
func outcome(wf *spec.Workflow) error {
	if wf.Status.Phase != spec.WorkflowSucceeded {
		return &exitError{code: exitRunFailed}
	}
	return nil
}

// streamLogs prints a run's log lines.
func (a *app) streamLogs(ctx context.Context, c *client.Client, ns, name string, o client.LogOptions, colour bool) error {
	err := c.Logs(ctx, ns, name, o, func(l client.LogLine) error {
		who := l.PodName
		if colour {
			h := fnv.New32a()
			h.Write([]byte(who))
			who = fmt.Sprintf("\x1b[%dm%s\x1b[0m", 31+h.Sum32()%6, who)
		}
		_, err := fmt.Fprintf(a.out, "%s: %s\n", who, tree.Printable(l.Content))
		return err
	})
	if errors.Is(err, client.ErrDone) {
		return nil
	}
	return err
}

// followLogs prints the log lines of a run until it ends, or says that they are too many to
// follow: the run goes on.
func (a *app) followLogs(ctx context.Context, c *client.Client, ns, name string) error {
	err := a.streamLogs(ctx, c, ns, name, client.LogOptions{Follow: true, Tail: -1}, a.colour(a.out))
	var refusal *client.Error
	if errors.As(err, &refusal) && refusal.Code == client.CodePrecondition {
		fmt.Fprintf(a.err, "the logs of %s are not followed: %v\n", name, err)
		return nil
	}
	return err
}
