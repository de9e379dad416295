package simulate

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// leaf decides how the leaves of a run end: by their keys, which hold the attempt.
type leaf struct {
	salt   string
	fails  int  // percent that fail
	errors bool // some of those as Errors
	mortal bool // daemons end by themselves
}

func (l leaf) dice(k workflow.Key, what string) uint64 { return hash(l.salt, string(k), what) }

// address is where all daemons are.
const address = "10.0.0.1"

// dies is how long a daemon serves that is not ended before.
func (l leaf) dies(k workflow.Key) time.Duration {
	if l.mortal {
		return time.Duration(l.dice(k, "death") % uint64(10*time.Second))
	}
	return time.Hour
}

// duration is how long a leaf takes.
func (l leaf) duration(k workflow.Key) time.Duration {
	d := l.dice(k, "duration")
	most := time.Second
	switch d % 16 {
	case 0:
		most = 12 * time.Second // a lease and more
	case 1, 2, 3:
		most = 3 * time.Second
	case 4, 5, 6, 7, 8, 9:
		most = 10 * time.Millisecond // those that start together end together
	}
	return time.Duration(d / 16 % uint64(most))
}

// result is how a leaf ends, with what it would write.
func (l leaf) result(k workflow.Key, t *spec.Template) *workflow.Result {
	d := l.dice(k, "end")
	if int(d%100) < l.fails {
		if l.errors && d/100%3 == 0 {
			return &workflow.Result{Phase: spec.NodeError, Class: "store", Message: "the store is full"}
		}
		return &workflow.Result{Phase: spec.NodeFailed, Message: "Error (exit code 1)"}
	}
	text := ""
	if t.Container != nil {
		text = strings.Join(t.Container.Args, " ")
	}
	if text == "list" {
		text = "[]"
		if n := d / 100 % 4; n > 0 {
			text = `["` + strings.Repeat(`x","`, int(n)-1) + `y"]`
		}
	}
	out := &workflow.Values{Result: &text}
	for _, p := range t.Outputs.Parameters {
		out.Parameters = append(out.Parameters, workflow.Param{Name: p.Name, Value: text + strconv.Itoa(int(d/100%10)), Global: p.GlobalName})
	}
	return &workflow.Result{Phase: spec.NodeSucceeded, Outputs: out}
}

// decide is how a node ends that waits for somebody.
func (l leaf) decide(k workflow.Key) workflow.Event {
	d := l.dice(k, "decision")
	s := &workflow.Set{Phase: spec.NodeSucceeded, Parameters: map[string]string{"verdict": strconv.Itoa(int(d / 100 % 10))}}
	if int(d%100) < l.fails {
		s.Phase = spec.NodeFailed
	}
	return workflow.Event{Kind: workflow.EventSet, Keys: []workflow.Key{k}, Set: s}
}

// outcome is how a run ended.
type outcome struct {
	phase   spec.WorkflowPhase
	outputs *workflow.Values
	nodes   map[workflow.Key]*workflow.Node
	loose   bool // the order of ends decides more than it should be compared
	timed   bool // so does the time that steps take
}

// encode is the form in which a spec is kept.
func encode(wf *spec.Workflow) ([]byte, error) {
	data, err := json.Marshal(wf)
	if err != nil {
		return nil, fmt.Errorf("encoding the spec: %w", err)
	}
	return data, nil
}

// compile makes the job's run and plan.
func (j *job) compile() (*workflow.Run, *workflow.Plan, error) {
	wf, err := spec.DecodeWorkflow(j.spec)
	if err != nil {
		return nil, nil, fmt.Errorf("decoding the spec: %w", err)
	}
	plan, err := workflow.Compile(wf)
	if err != nil {
		return nil, nil, fmt.Errorf("compiling the spec: %w", err)
	}
	return &workflow.Run{ID: j.name, Name: j.name, Namespace: "argo", Created: workflow.At(epoch), Arguments: j.args.Arguments}, plan, nil
}

// undisturbed is the outcome of a run that nothing happens to: the core alone, in memory.
func undisturbed(j *job) (*outcome, error) {
	run, plan, err := j.compile()
	if err != nil {
		return nil, err
	}
	view := &workflow.View{
		Run: run, Plan: plan, Nodes: map[workflow.Key]*workflow.Node{}, Complete: true,
		ConfigMaps: map[string]*workflow.ConfigMap{limits: configMap()},
		SyncLimits: map[string]*workflow.SyncLimit{"argo/" + database: {Limit: limit}},
	}
	var waiting []workflow.Key
	var events []workflow.Event
	var timers []workflow.Timer
	for range 100_000 {
		d, err := workflow.Advance(view, events, epoch)
		if err != nil {
			return nil, fmt.Errorf("advancing: %w", err)
		}
		for _, n := range d.Nodes {
			view.Nodes[n.Key] = n
		}
		view.State = d.State
		if d.Finished() {
			return &outcome{phase: d.State.Phase, outputs: d.State.Outputs, nodes: view.Nodes}, nil
		}
		for _, t := range d.Timers {
			if t.At != 0 && t.Name != "deadline" && t.Name != "timeout" {
				timers = append(timers, t)
			}
		}
		waiting = append(waiting, d.Dispatch...)
		waiting = slices.DeleteFunc(waiting, func(k workflow.Key) bool { return slices.Contains(d.End, k) })
		if events = append(grants(d.Orders), recalls(d.Orders)...); len(events) > 0 {
			continue
		}
		if len(waiting) == 0 {
			switch {
			case d.More:
			case len(timers) == 0:
				for _, k := range sorted(view.Nodes) {
					if view.Nodes[k].Suspended() && len(events) == 0 {
						events = append(events, j.leaf.decide(k))
					}
				}
				if len(events) == 0 {
					return nil, errors.New("the run is wedged")
				}
			default:
				events = []workflow.Event{{Kind: workflow.EventTimer, Key: timers[0].Key, Timer: timers[0].Name}}
				timers = timers[1:]
			}
			continue
		}
		k := waiting[0]
		waiting = waiting[1:]
		tmpl, _, err := plan.Resolve(run, view.Nodes[k])
		result := &workflow.Result{Phase: spec.NodeError}
		if err == nil {
			result = j.leaf.result(k, tmpl)
		}
		events = []workflow.Event{{Kind: workflow.EventResult, Key: k, Result: result}}
		if view.Nodes[k].IsDaemon() && result.Phase == spec.NodeSucceeded {
			events = []workflow.Event{{Kind: workflow.EventReady, Key: k, Ready: &workflow.Ready{Address: address}}}
		}
	}
	return nil, errors.New("the run does not end")
}
