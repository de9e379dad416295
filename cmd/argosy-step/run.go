package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"argosy/worker/handover"
)

// step is one step to run.
type step struct {
	command        []string
	env            []string
	stdout, stderr io.Writer
	message        string // file for the termination message, unless the environment names another
	patience       time.Duration
	stop           <-chan struct{} // ends the command when it is closed
	grace          time.Duration   // from then on until it is killed
	scratch        string          // where the runner keeps what is its own; "" is the usual place
	look           time.Duration   // how often the command's progress, or the end of a pause, is looked for; 0 is as usual
	pauses         string          // where files end pauses; "" is the usual place
}

// Classes of faults; the worker's.
const (
	classStore    = "store"
	classOutput   = "output"
	classInput    = "input"
	classLost     = "lost"
	classExecutor = "executor"
)

// fault is a failure that is not the command's.
type fault struct {
	class string
	err   error
}

func (f *fault) Error() string { return f.err.Error() }
func (f *fault) Unwrap() error { return f.err }

func faultf(class, format string, args ...any) error {
	return &fault{class, fmt.Errorf(format, args...)}
}

// run runs the step and tells the outcome. It returns the exit code.
func (s step) run(ctx context.Context) int {
	ours, theirs := splitEnv(s.env)
	if path := ours[handover.EnvMessage]; path != "" {
		s.message = path
	}
	g := newGateway(ours, s.patience)
	outcome := s.execute(ctx, g, ours, theirs)

	code := outcome.Code
	if outcome.Fault != nil {
		fmt.Fprintln(s.stderr, "argosy-step:", outcome.Fault.Message)
		code = handover.RunnerExitCode
	}
	if err := s.tell(ctx, g, outcome); err != nil {
		fmt.Fprintln(s.stderr, "argosy-step:", err)
		return handover.RunnerExitCode
	}
	return code
}

// execute does the work and never fails: failing is an outcome.
func (s step) execute(ctx context.Context, g *gateway, ours map[string]string, env []string) *handover.Outcome {
	set, err := loadSet(ours[handover.EnvSet])
	if err != nil {
		return failed(faultf(classExecutor, "%w", err))
	}
	outcome := s.inSet(ctx, g, set, ours[handover.EnvPlan], env)
	if err := set.leave(outcome); err != nil && outcome.Fault == nil {
		return failed(faultf(classExecutor, "%w", err))
	}
	return outcome
}

// inSet does the work of a container that may be one of a set.
func (s step) inSet(ctx context.Context, g *gateway, set *set, planJSON string, env []string) *handover.Outcome {
	plan, err := loadPlan(ctx, g, planJSON)
	if err != nil {
		return failed(faultf(classExecutor, "loading the step's plan: %w", err))
	}
	return s.perform(ctx, g, set, plan, env)
}

// perform carries the plan out, around the command.
func (s step) perform(ctx context.Context, g *gateway, set *set, plan *handover.Plan, env []string) *handover.Outcome {
	if end := set.await(ctx); end != nil {
		return end
	}
	times := []int64{time.Now().UnixMilli()}
	took := func() []int64 {
		times = append(times, time.Now().UnixMilli())
		return times
	}
	if err := stage(ctx, g, plan); err != nil {
		return failed(err)
	}
	took()
	env, watch := s.watchProgress(ctx, g, set, env)
	end := s.paused(ctx, set.name(), env, func() ending {
		return set.tries(func() ending { return s.runCommand(plan.Result, env) })
	})
	outcome := &handover.Outcome{Code: end.code, Message: end.message, Result: end.result, Progress: watch(), Times: took()}
	if outcome.Code != 0 && outcome.Message == "" {
		outcome.Message = s.ownMessage()
	}
	if end.terminated {
		return outcome // whoever asked us to end does not wait for outputs
	}
	if err := set.leave(outcome); err != nil {
		return failed(faultf(classExecutor, "%w", err))
	}
	if len(plan.Parameters)+len(plan.Outputs) > 0 && !set.othersEnd(ctx) {
		return outcome
	}
	err := collect(ctx, g, plan, outcome)
	if len(plan.Parameters)+len(plan.Outputs) > 0 {
		outcome.Times = took()
	}
	if err != nil && outcome.Code == 0 {
		bad := failed(err)
		bad.Code, bad.Result, bad.Times = outcome.Code, outcome.Result, outcome.Times
		return bad
	}
	return outcome
}

func failed(err error) *handover.Outcome {
	o := &handover.Outcome{Code: handover.RunnerExitCode, Fault: &handover.Fault{Class: classExecutor, Message: err.Error()}}
	if f, ok := errors.AsType[*fault](err); ok {
		o.Fault.Class = f.class
	}
	return o
}

func loadPlan(ctx context.Context, g *gateway, planJSON string) (*handover.Plan, error) {
	plan := &handover.Plan{}
	if planJSON == "" && g.url == "" { // a container of a set that stages nothing
		return plan, nil
	}
	if planJSON != "" {
		if err := json.Unmarshal([]byte(planJSON), plan); err != nil {
			return nil, fmt.Errorf("decoding: %w", err)
		}
		return plan, nil
	}
	err := g.get(ctx, handover.PathPlan, func(r io.Reader) error { return json.NewDecoder(r).Decode(plan) })
	if err != nil {
		return nil, err
	}
	return plan, nil
}

// ownMessage is what the command left as its termination message, for users who read that.
func (s step) ownMessage() string {
	f, err := os.Open(s.message)
	if err != nil {
		return ""
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, handover.MaxMessage/2))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// tell leaves the outcome where the worker finds it.
func (s step) tell(ctx context.Context, g *gateway, o *handover.Outcome) error {
	message, large, err := o.Encode()
	if err != nil {
		return err
	}
	if large != nil {
		if err := g.putOutcome(ctx, large); err != nil {
			o = failed(faultf(classStore, "leaving the outcome: %w", err))
			if message, _, err = o.Encode(); err != nil {
				return err
			}
			fmt.Fprintln(s.stderr, "argosy-step:", o.Fault.Message)
		}
	}
	if err := os.WriteFile(s.message, message, 0o644); err != nil {
		return fmt.Errorf("writing the termination message: %w", err)
	}
	return nil
}

// splitEnv separates what is for the runner from what is for the command.
func splitEnv(env []string) (ours map[string]string, theirs []string) {
	ours = map[string]string{}
	for _, v := range env {
		name, value, _ := strings.Cut(v, "=")
		if strings.HasPrefix(name, handover.EnvPrefix) {
			ours[name] = value
		} else {
			theirs = append(theirs, v)
		}
	}
	return ours, theirs
}
