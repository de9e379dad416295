package cron_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	robfig "github.com/robfig/cron/v3"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"argosy/workflow"
	"argosy/workflow/cron"
	"argosy/workflow/spec"
)

// start is a minute past midnight.
var start = time.Date(2026, 3, 1, 0, 1, 0, 0, time.UTC)

func every(schedules ...string) *spec.CronWorkflow {
	return &spec.CronWorkflow{
		ObjectMeta: metav1.ObjectMeta{Name: "c", Namespace: "ns", UID: "u", Labels: map[string]string{"team": "x"}},
		Spec:       spec.CronWorkflowSpec{Schedules: schedules},
	}
}

// world is a schedule with its runs, in a time of its own.
type world struct {
	t     *testing.T
	cron  *spec.CronWorkflow
	state cron.State
	now   time.Time
	next  time.Time
	over  bool

	runs       map[string]cron.Fate // by id, those that exist
	names      []string             // submitted, in order
	terminated []string
	refuse     string
}

func newWorld(t *testing.T, c *spec.CronWorkflow) *world {
	w := &world{t: t, cron: c, now: start, runs: map[string]cron.Fate{}}
	w.ask()
	return w
}

// ask decides until there is nothing more to do.
func (w *world) ask() {
	for {
		found := w.do()
		d := cron.Decide(w.cron, w.state, found, workflow.At(w.now))
		w.state, w.over, w.next = d.State, d.Over, time.Time{}
		if d.Next != 0 {
			w.next = d.Next.Time().UTC()
		}
		if d.State.Out == nil {
			return
		}
	}
}

// do does what the state has to be done, and looks at its runs.
func (w *world) do() cron.Found {
	f := cron.Found{Fates: map[string]cron.Fate{}}
	if out := w.state.Out; out != nil {
		for _, id := range out.Terminate {
			w.terminated = append(w.terminated, id)
			w.end(id, spec.WorkflowFailed)
		}
		for _, id := range out.Delete {
			delete(w.runs, id)
		}
		if c := out.Submit; c != nil {
			f.Refused = w.refuse
			if _, known := w.runs[c.ID]; !known && w.refuse == "" {
				w.runs[c.ID] = cron.Fate{}
				w.names = append(w.names, c.Name)
			}
		}
	}
	for _, c := range w.state.Active {
		fate, ok := w.runs[c.ID]
		fate.Gone = !ok
		if f.Refused != "" {
			fate.Gone = false
		}
		f.Fates[c.ID] = fate
	}
	return f
}

func (w *world) end(id string, phase spec.WorkflowPhase) {
	if fate, ok := w.runs[id]; ok && fate.Finished == 0 {
		w.runs[id] = cron.Fate{Phase: phase, Finished: workflow.At(w.now)}
	}
}

// endAll ends what goes on.
func (w *world) endAll(phase spec.WorkflowPhase) {
	for _, c := range w.state.Active {
		w.end(c.ID, phase)
	}
	w.ask()
}

// to lets time pass, with the timers that come due.
func (w *world) to(t time.Time) {
	for !w.next.IsZero() && !w.next.After(t) {
		w.now = w.next
		w.ask()
	}
	w.now = t
}

func (w *world) fires(minutes ...int) {
	w.t.Helper()
	want := []string{}
	for _, m := range minutes {
		want = append(want, fmt.Sprintf("c-%d", start.Truncate(time.Hour).Add(time.Duration(m)*time.Minute).Unix()))
	}
	require.Equal(w.t, want, append([]string{}, w.names...))
}

func minute(m int) time.Time { return start.Truncate(time.Hour).Add(time.Duration(m) * time.Minute) }

func TestFiring(t *testing.T) {
	t.Parallel()
	deadline := func(s int64) *int64 { return &s }
	for _, tc := range []struct {
		name  string
		spec  spec.CronWorkflowSpec
		play  func(w *world)
		wants []int
	}{
		{"each tick", spec.CronWorkflowSpec{Schedules: []string{"*/5 * * * *"}},
			func(w *world) { w.to(minute(16)) }, []int{5, 10, 15}},
		{"several schedules, once when they tick together", spec.CronWorkflowSpec{Schedules: []string{"*/5 * * * *", "*/2 * * * *"}},
			func(w *world) { w.to(minute(10)) }, []int{2, 4, 5, 6, 8, 10}},
		{"macros", spec.CronWorkflowSpec{Schedules: []string{"@hourly", "@every 25m"}},
			func(w *world) { w.to(minute(61)) }, []int{26, 51, 60}},
		{"a time zone", spec.CronWorkflowSpec{Schedules: []string{"45 5 * * *"}, Timezone: "Asia/Kathmandu"},
			func(w *world) { w.to(minute(24 * 60)) }, []int{24 * 60}},
		{"a schedule's own time zone", spec.CronWorkflowSpec{Schedules: []string{"CRON_TZ=Asia/Kathmandu 50 5 * * *"}, Timezone: "America/Lima"},
			func(w *world) { w.to(minute(60)) }, []int{5}},
		{"never", spec.CronWorkflowSpec{Schedules: []string{"0 0 30 2 *"}},
			func(w *world) { require.Zero(w.t, w.next) }, nil},
		{"a tick that is a little late counts", spec.CronWorkflowSpec{Schedules: []string{"*/5 * * * *"}},
			func(w *world) { w.now = minute(5).Add(20 * time.Second); w.ask() }, []int{5}},
		{"a missed tick is left out", spec.CronWorkflowSpec{Schedules: []string{"*/5 * * * *"}},
			func(w *world) { w.now = minute(17); w.ask(); w.to(minute(20)) }, []int{20}},
		{"of missed ticks the last is made up for within the deadline, once", spec.CronWorkflowSpec{Schedules: []string{"*/5 * * * *"}, StartingDeadlineSeconds: deadline(150)},
			func(w *world) { w.now = minute(17); w.ask(); w.ask(); w.to(minute(20)) }, []int{15, 20}},
		{"not beyond the deadline", spec.CronWorkflowSpec{Schedules: []string{"*/5 * * * *"}, StartingDeadlineSeconds: deadline(100)},
			func(w *world) { w.now = minute(17); w.ask() }, nil},
		{"a deadline of 0 keeps ticks in time", spec.CronWorkflowSpec{Schedules: []string{"*/5 * * * *"}, StartingDeadlineSeconds: deadline(0)},
			func(w *world) { w.to(minute(5)) }, []int{5}},
		{"Forbid", spec.CronWorkflowSpec{Schedules: []string{"*/5 * * * *"}, ConcurrencyPolicy: spec.ForbidConcurrent},
			func(w *world) {
				w.to(minute(11))
				w.endAll(spec.WorkflowSucceeded)
				w.to(minute(15))
			}, []int{5, 15}},
		{"Replace", spec.CronWorkflowSpec{Schedules: []string{"*/5 * * * *"}, ConcurrencyPolicy: spec.ReplaceConcurrent},
			func(w *world) {
				w.to(minute(10))
				require.Len(w.t, w.terminated, 1)
				require.Len(w.t, w.state.Active, 1)
				require.EqualValues(w.t, 1, w.state.Failed)
			}, []int{5, 10}},
		{"suspended", spec.CronWorkflowSpec{Schedules: []string{"*/5 * * * *"}},
			func(w *world) {
				w.to(minute(5))
				w.cron.Spec.Suspend = true
				w.endAll(spec.WorkflowSucceeded)
				require.Zero(w.t, w.next)
				w.now = minute(20).Add(5 * time.Second)
				w.cron.Spec.Suspend = false
				w.ask()
				w.to(minute(25))
			}, []int{5, 25}},
		{"resumed within the deadline", spec.CronWorkflowSpec{Schedules: []string{"*/5 * * * *"}, StartingDeadlineSeconds: deadline(120), Suspend: true},
			func(w *world) {
				w.now = minute(21)
				w.cron.Spec.Suspend = false
				w.ask()
			}, []int{20}},
		{"a new schedule makes up for nothing", spec.CronWorkflowSpec{Schedules: []string{"*/5 * * * *"}, StartingDeadlineSeconds: deadline(1000)},
			func(w *world) {
				w.cron.Spec.Schedules = []string{"*/7 * * * *"}
				w.now = minute(15)
				w.ask()
				w.to(minute(21))
			}, []int{21}},
		{"when", spec.CronWorkflowSpec{Schedules: []string{"* * * * *"},
			When: "{{= cronworkflow.lastScheduledTime == nil || (now() - cronworkflow.lastScheduledTime).Seconds() > 150 }}"},
			func(w *world) { w.to(minute(9)) }, []int{2, 5, 8}},
		{"when, by counts and labels", spec.CronWorkflowSpec{Schedules: []string{"* * * * *"},
			When: `{{cronworkflow.succeeded}} < 1 && {{cronworkflow.labels.team}} == x`},
			func(w *world) { w.to(minute(3)); w.endAll(spec.WorkflowSucceeded); w.to(minute(5)) }, []int{2, 3}},
		{"a stop strategy", spec.CronWorkflowSpec{Schedules: []string{"* * * * *"}, StopStrategy: &spec.StopStrategy{Expression: "cronworkflow.failed >= 2"}},
			func(w *world) {
				w.to(minute(2))
				w.endAll(spec.WorkflowFailed)
				require.Equal(w.t, spec.CronWorkflowActive, w.state.Phase)
				w.to(minute(3))
				w.endAll(spec.WorkflowError)
				require.Equal(w.t, spec.CronWorkflowStopped, w.state.Phase)
				require.Zero(w.t, w.next)
			}, []int{2, 3}},
		{"a refusal", spec.CronWorkflowSpec{Schedules: []string{"* * * * *"}},
			func(w *world) {
				w.refuse = "no such template"
				w.to(minute(2))
				require.Empty(w.t, w.state.Active)
				require.EqualValues(w.t, 1, w.state.Failed)
				require.Equal(w.t, "Failed to submit Workflow: no such template", w.state.Conditions[0].Message)
				require.Zero(w.t, w.state.Scheduled)
				w.refuse = ""
				w.to(minute(3))
				require.Empty(w.t, w.state.Conditions)
			}, []int{3}},
		{"a condition that cannot be evaluated", spec.CronWorkflowSpec{Schedules: []string{"* * * * *"}, When: "{{= cronworkflow.nope > 1 }}"},
			func(w *world) {
				w.to(minute(2))
				require.Contains(w.t, w.state.Conditions[0].Message, "run policy error: ")
			}, nil},
		{"a schedule that cannot be read", spec.CronWorkflowSpec{Schedules: []string{"* * *"}},
			func(w *world) {
				require.Equal(w.t, spec.ConditionTypeSpecError, w.state.Conditions[0].Type)
				w.cron.Spec.Schedules = []string{"* * * * *"}
				w.ask()
				require.Empty(w.t, w.state.Conditions)
			}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := every()
			c.Spec = tc.spec
			w := newWorld(t, c)
			tc.play(w)
			w.fires(tc.wants...)
		})
	}
}

func TestHistoryIsKeptByLimits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, every("* * * * *"))
	for m := 2; m < 10; m++ {
		w.to(minute(m))
		phase := spec.WorkflowSucceeded
		if m%2 == 0 {
			phase = spec.WorkflowFailed
		}
		w.endAll(phase)
	}
	require.Len(t, w.runs, 4)
	require.EqualValues(t, 4, w.state.Succeeded)
	require.EqualValues(t, 4, w.state.Failed)
	none, two := int32(0), int32(2)
	w.cron.Spec.SuccessfulJobsHistoryLimit, w.cron.Spec.FailedJobsHistoryLimit = &none, &two
	w.ask()
	require.Len(t, w.runs, 1)
	require.Equal(t, spec.WorkflowFailed, w.state.Done[0].Phase)
}

func TestWhatADeletedOneHadGoesWithIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, every("* * * * *"))
	w.to(minute(2))
	w.endAll(spec.WorkflowSucceeded)
	w.to(minute(3))
	require.Len(t, w.runs, 2)
	again := *w.cron
	again.UID = "another"
	w.cron = &again
	w.ask()
	require.Empty(t, w.runs)
	require.Zero(t, w.state.Succeeded)
	w.to(minute(4))
	require.Len(t, w.runs, 1)
	w.cron = nil
	w.ask()
	require.Empty(t, w.runs)
	require.True(t, w.over)
}

func TestAWorkflowSaysWhereItIsFrom(t *testing.T) {
	t.Parallel()
	c := every("@daily")
	c.Labels["workflows.argoproj.io/creator"] = "me"
	c.Spec.WorkflowMetadata = &metav1.ObjectMeta{Labels: map[string]string{"a": "b"}, Annotations: map[string]string{"n": "o"}}
	wf := cron.Workflow(c, start)
	require.Equal(t, map[string]string{"a": "b", "workflows.argoproj.io/cron-workflow": "c", "workflows.argoproj.io/creator": "me"}, wf.Labels)
	require.Equal(t, map[string]string{"n": "o", "workflows.argoproj.io/scheduled-time": "2026-03-01T00:01:00Z"}, wf.Annotations)
}

// TestTicksAreThoseOfTheSchedules compares with a walk through all ticks, over changes of
// the clocks, while whoever decides comes late, dies before and after it did what it wanted to
// do, and runs end whenever they like.
func TestTicksAreThoseOfTheSchedules(t *testing.T) {
	t.Parallel()
	zones := []string{"", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"}
	schedules := []string{"30 2 * * *", "0 * * * *", "*/20 1-3 * * *", "@daily", "15 3 * * SUN", "59 1 * * *"}
	policies := []spec.ConcurrencyPolicy{"", spec.AllowConcurrent, spec.ForbidConcurrent, spec.ReplaceConcurrent}
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		c := every(schedules[r.IntN(len(schedules))], schedules[r.IntN(len(schedules))])
		c.Spec.Timezone = zones[r.IntN(len(zones))]
		c.Spec.ConcurrencyPolicy = policies[r.IntN(len(policies))]
		outages := r.IntN(2) == 0
		if r.IntN(2) == 0 {
			s := int64(r.IntN(7200))
			c.Spec.StartingDeadlineSeconds = &s
		}
		w := newWorld(t, c)
		w.now = time.Date(2026, []time.Month{3, 4, 10, 11}[r.IntN(4)], 1+r.IntN(28), r.IntN(24), r.IntN(60), r.IntN(60), 0, time.UTC)
		w.state = cron.State{}
		w.ask()
		began := w.now
		late := map[int64]time.Duration{} // of the tick that was due first
		for range 60 {
			due := w.next
			for _, child := range slices.Clone(w.state.Active) {
				if r.IntN(3) == 0 {
					w.end(child.ID, spec.WorkflowSucceeded)
				}
			}
			delay := time.Duration(r.IntN(7000)) * time.Millisecond
			if outages && r.IntN(5) == 0 {
				delay = time.Duration(r.IntN(5*3600)) * time.Second
			}
			w.now = due.Add(delay)
			late[due.Unix()] = delay
			before := w.state
			if r.IntN(3) == 0 { // somebody decided, did a part of it, and died before it said so
				d := cron.Decide(w.cron, w.state, w.do(), workflow.At(w.now))
				require.Equal(t, before, w.state, "seed %d: a decision changes what it was given", seed)
				if d.State.Out != nil {
					w.state = d.State
					w.do()
				}
			}
			w.ask()
			if c.Spec.ConcurrencyPolicy == spec.ForbidConcurrent || c.Spec.ConcurrencyPolicy == spec.ReplaceConcurrent {
				require.LessOrEqual(t, len(w.state.Active), 1, "seed %d", seed)
			}
		}
		ticks := walk(t, c, began, w.now)
		fired := map[int64]bool{}
		last := int64(0)
		for _, name := range w.names {
			var at int64
			_, err := fmt.Sscanf(name, "c-%d", &at)
			require.NoError(t, err)
			require.True(t, ticks[at], "seed %d: %s is no tick", seed, name)
			require.Greater(t, at, last, "seed %d", seed)
			fired[at], last = true, at
		}
		if c.Spec.ConcurrencyPolicy == spec.ForbidConcurrent {
			continue
		}
		for at := range ticks {
			delay, asked := late[at]
			require.True(t, fired[at] || outages && (!asked || delay > cron.Grace), "seed %d: the tick %d was left out", seed, at)
		}
	}
}

// walk finds the ticks after one time up to another.
func walk(t *testing.T, c *spec.CronWorkflow, from, to time.Time) map[int64]bool {
	t.Helper()
	ticks := map[int64]bool{}
	for _, text := range c.Spec.Schedules {
		if c.Spec.Timezone != "" {
			text = "CRON_TZ=" + c.Spec.Timezone + " " + text
		}
		s, err := robfig.ParseStandard(text)
		require.NoError(t, err)
		for at := s.Next(from); !at.After(to); at = s.Next(at) {
			ticks[at.Unix()] = true
		}
	}
	return ticks
}

func TestRunsOfTicksThatAreLeftOutMustNotCome(t *testing.T) {
	t.Parallel()
	w := newWorld(t, every("@every 10s"))
	at := func(d time.Duration) *cron.Out {
		return cron.Decide(w.cron, w.state, cron.Found{}, workflow.At(start.Add(d))).State.Out
	}
	require.Empty(t, at(10*time.Second).Delete)
	out := at(35 * time.Second)
	require.Equal(t, start.Add(30*time.Second).Unix(), out.Submit.Scheduled.Time().Unix())
	require.Equal(t, []string{at(10 * time.Second).Submit.ID, at(20 * time.Second).Submit.ID}, out.Delete)
	w.cron.Spec.When = "1 == 2"
	require.Equal(t, &cron.Out{Delete: out.Delete[:1]}, at(10*time.Second), "nor one that does not fire")
}
