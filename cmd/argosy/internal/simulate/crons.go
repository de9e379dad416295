package simulate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"argosy/cmd/argosy/internal/join"
	"argosy/queue"
	"argosy/queue/queuesim"
	"argosy/workflow"
	"argosy/workflow/cron"
	"argosy/workflow/spec"
)

const cronName = "every"

// schedule is a CronWorkflow of which some worlds have one. It fires for a while and is deleted, and its
// runs with it.
type schedule struct {
	job      *job // what each of its runs is
	every    time.Duration
	policy   spec.ConcurrencyPolicy
	object   []byte
	deleteAt time.Time

	// What its client was told, and when; zero: not yet.
	put, deleted time.Time
}

// dealSchedule throws the dice for a schedule; nil: there is none.
func dealSchedule(seed uint64) (*schedule, error) {
	rng := rand.New(rand.NewPCG(seed, 4))
	if rng.IntN(6) > 0 {
		return nil, nil
	}
	s := &schedule{job: &job{name: cronName}, every: time.Duration(1+rng.IntN(6)) * time.Second}
	s.policy = []spec.ConcurrencyPolicy{spec.AllowConcurrent, spec.ForbidConcurrent, spec.ReplaceConcurrent}[rng.IntN(3)]
	s.deleteAt = epoch.Add(10*time.Second + time.Duration(rng.Int64N(int64(40*time.Second))))
	s.job.leaf = leaf{salt: fmt.Sprint(seed, cronName), fails: []int{0, 20}[rng.IntN(2)]}
	limit := intstr.FromInt32(1)
	flaky := container(leafFlaky, "{{inputs.parameters.text}}")
	flaky.RetryStrategy = &spec.RetryStrategy{Limit: &limit}
	main := spec.Template{Name: "main", Steps: []spec.ParallelSteps{
		{Steps: []spec.WorkflowStep{{Name: "a", Template: leafWork}}},
		{Steps: []spec.WorkflowStep{{Name: "b", Template: leafFlaky}, {Name: "c", Template: leafWork}}},
	}}
	wf := spec.Workflow{Spec: spec.WorkflowSpec{Entrypoint: "main", Templates: []spec.Template{main, container(leafWork, "{{inputs.parameters.text}}"), flaky}}}
	keep := int32(rng.IntN(3))
	object := spec.CronWorkflow{
		ObjectMeta: metav1.ObjectMeta{Namespace: "argo", Name: cronName, UID: "uid"},
		Spec: spec.CronWorkflowSpec{
			Schedules: []string{"@every " + s.every.String()}, ConcurrencyPolicy: s.policy, WorkflowSpec: wf.Spec,
			SuccessfulJobsHistoryLimit: &keep, FailedJobsHistoryLimit: &keep,
		},
	}
	var err error
	if s.object, err = json.Marshal(object); err != nil {
		return nil, fmt.Errorf("encoding the schedule: %w", err)
	}
	if s.job.spec, err = encode(&wf); err != nil {
		return nil, err
	}
	if s.job.want, err = undisturbed(s.job); err != nil {
		return nil, fmt.Errorf("seed %d, a scheduled run, undisturbed: %w", seed, err)
	}
	return s, nil
}

// forget takes back what the client was told from a time on.
func (s *schedule) forget(since time.Time) {
	if s == nil {
		return
	}
	for _, at := range []*time.Time{&s.put, &s.deleted} {
		if !at.Before(since) {
			*at = time.Time{}
		}
	}
}

// next is when the client has to do something again; zero: never.
func (s *schedule) next() time.Time {
	switch {
	case s.put.IsZero():
		return epoch
	case s.deleted.IsZero():
		return s.deleteAt
	}
	return time.Time{}
}

// keepSchedule is the life of a server, with the one client that has a schedule for it.
func (w *world) keepSchedule(t *thread, p *process) {
	s, objects := w.schedule, queue.NewObjects(p.conn)
	for {
		next, losses := s.next(), w.losses
		if next.IsZero() || next.After(w.now) {
			p.park(t, next, func() bool { return w.losses != losses })
			continue
		}
		if err := w.reschedule(objects); err != nil {
			w.trace(p, "is told: %v", err)
			p.sleep(t, time.Second)
		}
		if w.losses != losses {
			s.forget(w.now)
		}
	}
}

// reschedule has the schedule stored, or deleted once it was.
func (w *world) reschedule(objects *queue.Objects) error {
	s, ctx := w.schedule, context.Background()
	if s.put.IsZero() {
		_, err := objects.Put(ctx, spec.KindCronWorkflow, "argo", cronName, s.object, queue.VersionNone)
		if err := unless(err, queue.ErrExists); err != nil {
			return err
		}
		s.put = w.now
		return nil
	}
	if err := objects.Delete(ctx, spec.KindCronWorkflow, "argo", cronName); unless(err, queue.ErrNotFound) != nil {
		return err
	}
	s.deleted = w.now
	return nil
}

func unless(err, harmless error) error {
	if errors.Is(err, harmless) {
		return nil
	}
	return err
}

// schedules gives a coordinator what it needs for schedules.
func (w *world) schedules(p *process, turns *join.Turns) {
	if w.schedule == nil {
		return
	}
	turns.Runs, turns.Crons = queue.NewRuns(p.conn), queue.NewCrons(p.conn)
	turns.Submit = func(ctx context.Context, id string, wf *spec.Workflow) error {
		run := &workflow.Run{ID: id, Name: wf.Name, Namespace: wf.Namespace, Labels: wf.Labels, Created: workflow.At(epoch)}
		return turns.Runs.SubmitOnce(ctx, run, w.schedule.job.spec)
	}
}

// scheduled are the runs of the schedule that were not deleted.
func (v *watch) scheduled() []*runWatch {
	var of []*runWatch
	for _, id := range sorted(v.runs) {
		if r := v.runs[id]; r.tick != 0 && !r.deleted {
			of = append(of, r)
		}
	}
	return of
}

// fires looks at a run that may begin for a tick.
func (v *watch) fires(c *queuesim.Command) {
	var run workflow.Run
	_, record, _ := strings.Cut(c.Args[0], " ")
	if err := json.Unmarshal([]byte(record), &run); err != nil || c.Answer != int64(1) {
		return
	}
	id := runOf(c.Keys[0])
	if r := v.runs[id]; r != nil {
		if r.deleted {
			v.violated("a tick fires once", "run %s began again", id)
		}
		return
	}
	tick, err := strconv.ParseInt(strings.TrimPrefix(run.Name, cronName+"-"), 10, 64)
	if err != nil || time.Unix(tick, 0).After(v.w.clock) {
		v.violated("a tick fires once it has come", "run %s began", run.Name)
	}
	for _, other := range v.scheduled() {
		if v.w.schedule.policy == spec.ForbidConcurrent && !other.finished {
			v.violated("a schedule that forbids it has no two runs at once", "run %s began beside %s", id, other.id)
		}
		if other.tick == tick {
			v.violated("a tick fires once", "runs %s and %s began", other.id, id)
		}
	}
	r := v.begin(id)
	r.tick = tick
	v.fired = v.w.now
}

// counted looks at what is known of the schedule: no run was counted that has not ended, or twice.
func (v *watch) counted(c *queuesim.Command) {
	var s cron.State
	if c.Answer != int64(1) || json.Unmarshal([]byte(c.Args[3]), &s) != nil {
		return
	}
	ended := 0
	for _, r := range v.runs {
		if r.tick != 0 && r.finished {
			ended++
		}
	}
	if n := int(s.Succeeded + s.Failed); n > ended {
		v.violated("a schedule counts runs that have ended, once", "it counts %d, and %d have", n, ended)
	}
}

// scheduledEnds holds a scheduled run's end against what it would have been without faults.
func (v *watch) scheduledEnds(r *runWatch, s *workflow.State) {
	if want := v.w.schedule.job.want.phase; !s.Closing() && s.Phase != want {
		v.violated("runs end as if undisturbed", "%s ended as %s and not %s: %s", r.id, s.Phase, want, s.Message)
	}
}

// ticks looks whether the schedule fires when nothing fails, and takes its runs with it.
func (v *watch) ticks(well time.Time) {
	s, w := v.w.schedule, v.w
	switch {
	case s == nil || s.put.IsZero():
	case !s.deleted.IsZero():
		if left := v.scheduled(); len(left) > 0 && w.now.Sub(later(s.deleted, w.calmAt)) > stuck {
			v.violated("a schedule takes its runs with it", "run %s is still there", left[0].id)
		}
	case s.policy != spec.ForbidConcurrent:
		if quiet := w.now.Sub(later(later(s.put, well), v.fired)); quiet > s.every+2*time.Second {
			v.violated("schedules fire in time", "it did not for %.1fs", quiet.Seconds())
		}
	}
}

// over says that nothing is left of the schedule.
func (s *schedule) over(w *world) bool {
	if s == nil {
		return true
	}
	return !s.deleted.IsZero() && len(w.watch.scheduled()) == 0 && // all keys are read last: this is asked at each step
		!slices.ContainsFunc(w.server.Keys(), func(key string) bool { return strings.HasSuffix(key, ":states") })
}
