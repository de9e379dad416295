package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"argosy/server/client"
	"argosy/workflow/cron"
	"argosy/workflow/spec"
)

const (
	slow    = "slow" // the family whose members may take longer than there is patience for
	refused = "Refused"
)

// atRoot finds a tool where its image has it, which the machine has on its PATH.
var atRoot = regexp.MustCompile(`(^|[^\w./-])/(argosay)\b`)

// runner runs cases on a fleet.
type runner struct {
	settings *settings
	env      *surroundings
	fleet    *fleet
	renamed  atomic.Int64
}

// run runs one case to its end.
func (r *runner) run(ctx context.Context, t *testCase) outcome {
	o := outcome{Path: t.path, Family: t.family, Expected: t.expected, Status: failed}
	if why := r.env.unmet(t); why != "" {
		o.Status, o.Message = skipped, why
		return o
	}
	wf, err := r.workflow(ctx, t)
	if err == nil {
		err = r.fleet.limit(ctx, wf)
	}
	if err == nil {
		wf, err = r.fleet.Submit(ctx, r.settings.namespace, wf, false)
	}
	var no *client.Error
	var bad spec.ErrorList
	switch {
	case errors.As(err, &no) && no.Status < 500, errors.As(err, &bad):
		o.Got, o.Message = refused, err.Error()
		// What Argo's controller finds invalid ends in Error; here it does not begin.
		if t.expected == string(spec.WorkflowError) && len(unsupported(o.Message)) == 0 {
			o.Status = passed
		}
		return o
	case err != nil:
		o.Got, o.Message = "not submitted", err.Error()
		return o
	}
	return r.await(ctx, o, wf.Name)
}

// await waits until a run has ended and compares.
func (r *runner) await(ctx context.Context, o outcome, name string) outcome {
	limited, cancel := context.WithTimeout(ctx, r.settings.timeout)
	defer cancel()
	look := time.NewTicker(250 * time.Millisecond)
	defer look.Stop()
	for {
		wf, err := r.fleet.Get(limited, r.settings.namespace, name, "metadata,status.phase,status.message")
		switch {
		case limited.Err() != nil:
			o.Status, o.Got, o.Message = failed, cmp.Or(o.Got, "nothing"), fmt.Sprintf("it has not ended within %s", r.settings.timeout)
			if o.Family == slow {
				o.Status = skipped
			}
			// It would only take the place of others.
			if err := r.fleet.Terminate(ctx, r.settings.namespace, name); err != nil {
				o.Message += "; " + err.Error()
			}
			return o
		case err != nil:
			o.Message = err.Error()
			return o
		}
		o.Got = string(wf.Status.Phase)
		if wf.Status.Phase.Completed() {
			break
		}
		select {
		case <-limited.Done():
		case <-look.C:
		}
	}
	if o.Got == o.Expected {
		o.Status = passed
		return o
	}
	wf, err := r.fleet.Get(ctx, r.settings.namespace, name, "")
	if err != nil {
		o.Message = err.Error()
		return o
	}
	o.Message = difference(wf)
	return o
}

// groups are the types of nodes that fail because others did.
var groups = []spec.NodeType{spec.NodeTypeSteps, spec.NodeTypeStepGroup, spec.NodeTypeDAG, spec.NodeTypeTaskGroup, spec.NodeTypeRetry}

// difference is the first thing in a run that may have led to an end that was not expected:
// the first leaf that failed, else the run's own message.
func difference(wf *spec.Workflow) string {
	var first *spec.NodeStatus
	for _, n := range wf.Status.Nodes {
		bad := (n.Phase == spec.NodeFailed || n.Phase == spec.NodeError) && !slices.Contains(groups, n.Type)
		if bad && (first == nil || n.FinishedAt.Before(&first.FinishedAt)) {
			first = &n
		}
	}
	if first == nil {
		return cmp.Or(wf.Status.Message, "no node failed")
	}
	return fmt.Sprintf("node %s (%s) is %s: %s", first.Name, first.Type, first.Phase, cmp.Or(first.Message, "no message"))
}

// workflow reads what a case submits. Templates are stored first, and submitted by
// reference, as `argo submit --from` does.
func (r *runner) workflow(ctx context.Context, t *testCase) (*spec.Workflow, error) {
	data, err := os.ReadFile(filepath.Join(r.settings.corpus, t.path))
	if err != nil {
		return nil, err
	}
	if r.settings.executor == "process" {
		data = atRoot.ReplaceAll(data, []byte("${1}${2}"))
	}
	data = r.env.minio.inPlace(data)
	if t.kinds == "(none)" {
		data = append([]byte("apiVersion: "+spec.APIVersion+"\nkind: "+spec.KindWorkflow+"\n"), data...)
	}
	docs, err := spec.Parse(t.path, data)
	if err != nil {
		return nil, err
	}
	var wf *spec.Workflow
	var from *spec.Document
	for i := range docs {
		switch o := docs[i].Object.(type) {
		case *spec.Workflow:
			wf = o
		case *spec.CronWorkflow:
			now := map[string]string{cron.AnnotationScheduledTime: time.Now().UTC().Format(time.RFC3339)}
			wf = &spec.Workflow{ObjectMeta: metav1.ObjectMeta{Name: o.Name, Annotations: now}, Spec: o.Spec.WorkflowSpec}
		case *spec.WorkflowTemplate, *spec.ClusterWorkflowTemplate:
			from = &docs[i]
		}
	}
	if problems := r.fleet.load(ctx, r.others(docs)); wf == nil && from == nil || len(problems) > 0 {
		return nil, errors.New(cmp.Or(strings.Join(problems, "; "), "the file has nothing to submit"))
	}
	if r.settings.executor == "kubernetes" && r.brings(docs) {
		if err := r.fleet.furnish(ctx, r.others(docs)); err != nil {
			return nil, err
		}
	}
	if wf == nil {
		return r.from(ctx, from)
	}
	// Files share names, and run side by side; some have names that no cluster would take.
	wf.GenerateName, wf.Name = strings.ToLower(cmp.Or(wf.GenerateName, wf.Name+"-")), ""
	wf.Namespace = r.settings.namespace
	return wf, nil
}

// others are the objects of a file that are stored beside the one that is submitted.
func (r *runner) others(docs []spec.Document) []spec.Document {
	var out []spec.Document
	for i := range docs {
		if docs[i].Kind == spec.KindCronWorkflow {
			continue // it is submitted once, or would fire while others run
		}
		if !r.env.has(docs[i].Kind, objectName(&docs[i])) && len(docs) > 1 {
			out = append(out, docs[i])
		}
	}
	return out
}

// brings says that a file has something for pods to refer to.
func (r *runner) brings(docs []spec.Document) bool {
	return slices.ContainsFunc(r.others(docs), func(d spec.Document) bool { return d.Kind == spec.KindConfigMap || d.Kind == spec.KindSecret })
}

// from stores a template under a name of its own and returns a workflow that runs it.
func (r *runner) from(ctx context.Context, d *spec.Document) (*spec.Workflow, error) {
	name := fmt.Sprintf("%s-%d", objectName(d), r.renamed.Add(1))
	wf := &spec.Workflow{ObjectMeta: metav1.ObjectMeta{GenerateName: name + "-", Namespace: r.settings.namespace}}
	wf.APIVersion, wf.Kind = spec.APIVersion, spec.KindWorkflow
	wf.Spec.WorkflowTemplateRef = &spec.WorkflowTemplateRef{Name: name, ClusterScope: d.Kind == spec.KindClusterWorkflowTemplate}
	var object map[string]any
	if err := json.Unmarshal(d.JSON, &object); err != nil {
		return nil, err
	}
	object["metadata"] = map[string]any{"name": name}
	renamed, err := json.Marshal(object)
	if err != nil {
		return nil, err
	}
	if err := r.fleet.Create(ctx, d.Kind, r.settings.namespace, renamed); err != nil {
		return nil, fmt.Errorf("storing %s: %w", name, err)
	}
	return wf, nil
}
