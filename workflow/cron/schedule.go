package cron

import (
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"

	"argosy/workflow/spec"
)

// Schedule is when a CronWorkflow fires: at the ticks of each of its schedules, once when
// several tick together.
type Schedule []cron.Schedule

// Parse reads the schedules in their time zone, which is UTC unless they have one. "@every"
// counts from since.
func Parse(c *spec.CronWorkflowSpec, since time.Time) (Schedule, error) {
	var s Schedule
	for _, text := range c.Schedules {
		one, err := cron.ParseStandard(zoned(text, c.Timezone))
		if err != nil {
			return nil, fmt.Errorf("cron schedule '%s' is malformed: %w", text, err)
		}
		if every, ok := one.(cron.ConstantDelaySchedule); ok {
			one = steady{since.UTC().Truncate(time.Second), every.Delay}
		}
		s = append(s, one)
	}
	if len(s) == 0 {
		return nil, fmt.Errorf("cron workflow must have at least one schedule")
	}
	return s, nil
}

// steady ticks in equal intervals, wherever one asks from.
type steady struct {
	since time.Time
	every time.Duration
}

// Next is part of cron.Schedule.
func (s steady) Next(t time.Time) time.Time {
	if t.Before(s.since) {
		return s.since.Add(s.every)
	}
	passed := t.Sub(s.since)
	return t.Add(s.every - passed%s.every)
}

// zoned gives a schedule a time zone, unless it brings its own.
func zoned(schedule, zone string) string {
	if zone == "" || strings.HasPrefix(schedule, "TZ=") || strings.HasPrefix(schedule, "CRON_TZ=") {
		return schedule
	}
	return "CRON_TZ=" + zone + " " + schedule
}

// text is what a state remembers of the schedules that it was made with.
func text(c *spec.CronWorkflowSpec) string {
	all := make([]string, len(c.Schedules))
	for i, s := range c.Schedules {
		all[i] = zoned(s, c.Timezone)
	}
	return strings.Join(all, ",")
}

// Next is the first tick after t; zero if there is none.
func (s Schedule) Next(t time.Time) time.Time {
	var first time.Time
	for _, one := range s {
		if at := one.Next(t.UTC()); !at.IsZero() && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return first.UTC()
}

// Last is the last tick after from and not after to; zero if there is none. It looks back
// from to by longer and longer times, so that what stood still for a year costs little.
func (s Schedule) Last(from, to time.Time) time.Time {
	for back := time.Minute; ; back *= 4 {
		start := to.Add(-back)
		whole := !start.After(from)
		if whole {
			start = from
		}
		var last time.Time
		for at := s.Next(start); !at.IsZero() && !at.After(to); at = s.Next(at) {
			last = at
		}
		if whole || !last.IsZero() {
			return last
		}
	}
}

// between are the ticks after from and before to.
func (s Schedule) between(from, to time.Time) (ticks []time.Time) {
	for at := s.Next(from); !at.IsZero() && at.Before(to); at = s.Next(at) {
		ticks = append(ticks, at)
	}
	return ticks
}
