package cron

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// The conditions of a CronWorkflow.
const (
	conditionSpecError       spec.ConditionType = "SpecError"
	conditionSubmissionError spec.ConditionType = "SubmissionError"
)

const (
	// Grace is how late a tick may come and still count as in time: another coordinator takes
	// over within it.
	Grace = 30 * time.Second
	// lookAfter is when runs are looked at that nobody told the end of.
	lookAfter = time.Minute

	keepSucceeded, keepFailed = 3, 1
)

// Fate is what became of a run.
type Fate struct {
	Gone     bool
	Phase    spec.WorkflowPhase
	Finished workflow.Millis // 0 while it goes on
}

// Found is what was found out before a decision.
type Found struct {
	Fates map[string]Fate // of the active runs, by id
	// Refused says why what Out had to submit will never be accepted.
	Refused string
}

// Decision is what follows.
type Decision struct {
	State State
	// Next is when to decide again at the latest, if the state has no Out; 0 is never.
	Next workflow.Millis
	// Over says that there is nothing left to keep.
	Over bool
}

// Decide works out what a CronWorkflow does, whose Out, if it had one, is done. c is nil when
// it was deleted.
func Decide(c *spec.CronWorkflow, s State, found Found, now workflow.Millis) Decision {
	s.Active, s.Done = slices.Clone(s.Active), slices.Clone(s.Done)
	if c == nil || string(c.UID) != s.UID {
		return renounce(c, s, now)
	}
	s.submitted(found.Refused)
	s.count(found.Fates)
	out := &Out{Delete: s.forget(&c.Spec)}
	s.condition(conditionSpecError, "")
	if stop, err := stops(c, &s, now.Time()); err != nil {
		s.condition(conditionSpecError, err.Error())
	} else if stop {
		s.Phase = spec.CronWorkflowStopped
	}
	next := s.tick(c, out, now)
	if len(s.Active) > 0 {
		if look := now + workflow.Millis(lookAfter.Milliseconds()); next == 0 || look < next {
			next = look
		}
	}
	s.Out = nil
	if out.Submit != nil || len(out.Delete) > 0 || len(out.Terminate) > 0 {
		s.Out = out
	}
	return Decision{State: s, Next: next}
}

// renounce gives up what was kept of an object that is not there any more: its runs go too.
func renounce(c *spec.CronWorkflow, s State, now workflow.Millis) Decision {
	var runs []string
	for _, child := range append(s.Active, s.Done...) {
		runs = append(runs, child.ID)
	}
	if len(runs) > 0 {
		return Decision{State: State{UID: s.UID, Out: &Out{Delete: runs}}}
	}
	if c == nil {
		return Decision{Over: true}
	}
	return Decide(c, State{UID: string(c.UID)}, Found{}, now)
}

// submitted takes in what became of what was to be submitted.
func (s *State) submitted(refused string) {
	if s.Out == nil || s.Out.Submit == nil {
		return
	}
	child := s.Out.Submit
	if refused == "" {
		s.Scheduled, s.Phase = child.Scheduled, cmp.Or(s.Phase, spec.CronWorkflowActive)
		s.condition(conditionSubmissionError, "")
		return
	}
	s.Active = slices.DeleteFunc(s.Active, func(c Child) bool { return c.ID == child.ID })
	s.Failed++
	s.condition(conditionSubmissionError, "Failed to submit Workflow: "+refused)
}

// count takes in how runs ended.
func (s *State) count(fates map[string]Fate) {
	s.Active = slices.DeleteFunc(s.Active, func(c Child) bool {
		fate, known := fates[c.ID]
		switch {
		case !known || !fate.Gone && fate.Finished == 0:
			return false
		case fate.Gone:
			return true
		case fate.Phase == spec.WorkflowSucceeded:
			s.Succeeded++
		default:
			s.Failed++
		}
		c.Phase, c.Finished = fate.Phase, fate.Finished
		s.Done = append(s.Done, c)
		return true
	})
	slices.SortStableFunc(s.Done, func(a, b Child) int { return cmp.Compare(a.Finished, b.Finished) })
}

// forget takes the runs out of the history that are too many, the oldest first.
func (s *State) forget(c *spec.CronWorkflowSpec) (runs []string) {
	keep := map[bool]int{true: limit(c.SuccessfulJobsHistoryLimit, keepSucceeded), false: limit(c.FailedJobsHistoryLimit, keepFailed)}
	var kept []Child
	for _, child := range slices.Backward(s.Done) {
		ok := child.Phase == spec.WorkflowSucceeded
		if keep[ok]--; keep[ok] < 0 {
			runs = append(runs, child.ID)
			continue
		}
		kept = append(kept, child)
	}
	slices.Reverse(kept)
	s.Done = kept
	return runs
}

func limit(given *int32, usual int) int {
	if given == nil || *given < 0 {
		return usual
	}
	return int(*given)
}

// tick deals with the ticks up to now, and returns when the next one is.
func (s *State) tick(c *spec.CronWorkflow, out *Out, now workflow.Millis) workflow.Millis {
	deadline := Grace
	if d := c.Spec.StartingDeadlineSeconds; d != nil {
		deadline = max(Grace, time.Duration(*d)*time.Second)
	}
	resumed := s.Suspended && !c.Spec.Suspend && c.Spec.StartingDeadlineSeconds == nil
	if all := text(&c.Spec); s.Schedule != all {
		s.Schedule, s.Since, s.Ticked = all, now, now
	}
	if resumed {
		s.Ticked = now
	}
	s.Suspended = c.Spec.Suspend
	schedule, err := Parse(&c.Spec, s.Since.Time())
	if err != nil {
		s.condition(conditionSpecError, err.Error())
		return 0
	}
	if c.Spec.Suspend || s.Phase == spec.CronWorkflowStopped {
		return 0
	}
	if tick := schedule.Last(s.Ticked.Time(), now.Time()); !tick.IsZero() {
		skipped := schedule.between(later(s.Ticked.Time(), tick.Add(-Grace)), tick)
		s.Ticked = workflow.At(tick)
		if now.Time().Sub(tick) <= deadline {
			s.fire(c, out, tick, now.Time())
		}
		if out.Submit == nil {
			skipped = append(skipped, tick)
		}
		// Of such a tick a coordinator may be about to start a run whose decision Redis has lost.
		for _, tick := range skipped {
			out.Delete = append(out.Delete, childID(s.UID, tick))
		}
	}
	next := schedule.Next(s.Ticked.Time())
	if next.IsZero() {
		return 0
	}
	return workflow.At(next)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// fire starts a run for a tick, unless something speaks against it.
func (s *State) fire(c *spec.CronWorkflow, out *Out, tick, now time.Time) {
	proceed, err := proceeds(c, s, now)
	if err != nil {
		s.Failed++
		s.condition(conditionSubmissionError, fmt.Sprintf("run policy error: %v", err))
		return
	}
	if !proceed {
		return
	}
	switch c.Spec.ConcurrencyPolicy {
	case spec.ForbidConcurrent:
		if len(s.Active) > 0 {
			return
		}
	case spec.ReplaceConcurrent:
		for _, child := range s.Active {
			out.Terminate = append(out.Terminate, child.ID)
		}
	}
	out.Submit = &Child{
		ID: childID(s.UID, tick), Name: c.Name + "-" + strconv.FormatInt(tick.Unix(), 10), Scheduled: workflow.At(tick),
	}
	s.Active = append(s.Active, *out.Submit)
}
