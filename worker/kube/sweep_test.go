package kube

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"

	"argosy/worker"
	"argosy/workflow"
	"argosy/workflow/spec"
)

// agedJob is a Job of a step, as old as that, which ended as long ago; 0: it runs.
func agedJob(name, owner, gc string, kind batchv1.JobConditionType, age, ended time.Duration) *batchv1.Job {
	j := jobWith(kind, "")
	j.Name, j.Namespace, j.UID = name, "default", types.UID(name)
	j.CreationTimestamp = metav1.NewTime(time.Now().Add(-age))
	j.Labels = map[string]string{labelManaged: "test", labelOwner: owner, labelRun: "run"}
	j.Annotations = map[string]string{annotationNode: name, annotationPodGC: gc}
	for i := range j.Status.Conditions {
		j.Status.Conditions[i].LastTransitionTime = metav1.NewTime(time.Now().Add(-ended))
	}
	return j
}

func sidecar(p *corev1.Pod) {
	p.Status.InitContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
}

func TestJobsThatNobodyNeedsAreSwept(t *testing.T) {
	const (
		complete, failed = batchv1.JobComplete, batchv1.JobFailed
		m                = time.Minute
	)
	ended, gone := Standing{Ended: map[workflow.Key]bool{"j": true}}, Standing{Gone: true}
	success := Standing{Phase: spec.WorkflowSucceeded, Finished: time.Now().Add(-m)}
	failure := Standing{Phase: spec.WorkflowFailed, Finished: time.Now().Add(-m)}
	for name, tt := range map[string]struct {
		job      *batchv1.Job
		pod      *corev1.Pod
		standing Standing
		followed bool
		swept    bool
	}{
		"it runs":                              {job: agedJob("j", "us", "", "", 2*m, 0)},
		"nobody waits for it":                  {job: agedJob("j", "us", "", "", 2*m, 0), standing: ended, swept: true},
		"nobody waits for its pod":             {job: agedJob("j", "us", "", "", 2*m, 0), pod: podIn(corev1.PodRunning, running), standing: ended, swept: true},
		"its sidecar runs":                     {job: agedJob("j", "us", "", "", 2*m, 0), pod: podIn(corev1.PodRunning, terminated(0, "", ""), sidecar), standing: ended, swept: true},
		"its pod has ended, it is to end":      {job: agedJob("j", "us", "", "", 2*m, 0), pod: podIn(corev1.PodSucceeded), standing: ended},
		"its containers have, its pod is to":   {job: agedJob("j", "us", "", "", 2*m, 0), pod: podIn(corev1.PodRunning, terminated(0, "", "")), standing: ended},
		"its run has ended":                    {job: agedJob("j", "us", "", "", 2*m, 0), standing: failure, swept: true},
		"its run was lost":                     {job: agedJob("j", "us", "", "", 2*m, 0), standing: gone, swept: true},
		"somebody here is about to end it":     {job: agedJob("j", "us", "", "", 2*m, 0), standing: ended, followed: true},
		"it is too young to be left over":      {job: agedJob("j", "us", "", "", m/2, 0), standing: gone},
		"it is another install's":              {job: agedJob("j", "them", "OnPodCompletion 0s", complete, 2*m, m), standing: gone},
		"it ended, and stays a while":          {job: agedJob("j", "us", "", complete, 2*m, m), standing: success},
		"it ended, and its run was deleted":    {job: agedJob("j", "us", "", complete, 2*m, m), standing: gone, swept: true},
		"it failed, and its run was deleted":   {job: agedJob("j", "us", "OnPodSuccess 5s", failed, 2*m, m), standing: gone, swept: true},
		"pod completion":                       {job: agedJob("j", "us", "OnPodCompletion 5s", failed, 2*m, m), standing: ended, swept: true},
		"pod completion, not read yet":         {job: agedJob("j", "us", "OnPodCompletion 5s", failed, 2*m, m)},
		"pod completion, too soon":             {job: agedJob("j", "us", "OnPodCompletion 2m0s", failed, 2*m, m), standing: ended},
		"pod success":                          {job: agedJob("j", "us", "OnPodSuccess 5s", complete, 2*m, m), standing: ended, swept: true},
		"pod success, of one that failed":      {job: agedJob("j", "us", "OnPodSuccess 5s", failed, 2*m, m), standing: success},
		"workflow completion":                  {job: agedJob("j", "us", "OnWorkflowCompletion 5s", failed, 2*m, m), standing: failure, swept: true},
		"workflow completion, it goes on":      {job: agedJob("j", "us", "OnWorkflowCompletion 5s", failed, 2*m, m), standing: ended},
		"workflow completion, since its end":   {job: agedJob("j", "us", "OnWorkflowCompletion 90s", failed, 9*m, 8*m), standing: failure},
		"workflow success":                     {job: agedJob("j", "us", "OnWorkflowSuccess 5s", failed, 2*m, m), standing: success, swept: true},
		"workflow success, of one that failed": {job: agedJob("j", "us", "OnWorkflowSuccess 5s", failed, 2*m, m), standing: failure},
	} {
		t.Run(name, func(t *testing.T) {
			client := fake.NewClientset(tt.job)
			if tt.pod != nil {
				tt.pod.Namespace, tt.pod.Labels = "default", map[string]string{labelManaged: "test", batchv1.JobNameLabel: "j"}
				tt.pod.Spec = corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: make([]corev1.Container, 1)}
				require.NoError(t, client.Tracker().Add(tt.pod))
			}
			e, err := New(Config{Install: "test", Owner: "us"}, client, &worker.Gateway{}, slog.New(slog.DiscardHandler))
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			require.NoError(t, e.Start(ctx))
			if tt.followed {
				_, stop := e.hub.watch(types.NamespacedName{Namespace: "default", Name: "j"})
				defer stop()
			}
			require.NoError(t, e.SweepJobs(ctx, func(_ context.Context, run string, nodes []workflow.Key) (Standing, error) {
				require.Equal(t, "run", run)
				if jobEnded(tt.job) == nil || strings.Contains(tt.job.Annotations[annotationPodGC], "Pod") {
					require.Equal(t, []workflow.Key{"j"}, nodes)
				} else {
					require.Empty(t, nodes, "how its node stands does not matter")
				}
				return tt.standing, nil
			}))
			_, err = client.BatchV1().Jobs("default").Get(ctx, "j", metav1.GetOptions{})
			require.Equal(t, tt.swept, apierrors.IsNotFound(err), "%v", err)
		})
	}
}

func TestAPodGCSelectsPodsByTheirLabels(t *testing.T) {
	step := func(gc *spec.PodGC) *worker.Step { return &worker.Step{Spec: &spec.WorkflowSpec{PodGC: gc}} }
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"gc": "yes"}}
	for name, tt := range map[string]struct {
		gc     *spec.PodGC
		labels map[string]string
		want   string
	}{
		"none":         {},
		"no strategy":  {gc: &spec.PodGC{}},
		"all":          {gc: &spec.PodGC{Strategy: spec.PodGCOnPodSuccess}, want: "OnPodSuccess 5s"},
		"at once":      {gc: &spec.PodGC{Strategy: spec.PodGCOnPodSuccess, DeleteDelayDuration: "0s"}, want: "OnPodSuccess 0s"},
		"later":        {gc: &spec.PodGC{Strategy: spec.PodGCOnWorkflowSuccess, DeleteDelayDuration: "2m"}, want: "OnWorkflowSuccess 2m0s"},
		"selected":     {gc: &spec.PodGC{Strategy: spec.PodGCOnPodSuccess, LabelSelector: selector}, labels: map[string]string{"gc": "yes"}, want: "OnPodSuccess 5s"},
		"not selected": {gc: &spec.PodGC{Strategy: spec.PodGCOnPodSuccess, LabelSelector: selector}},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, tt.want, podGC(step(tt.gc), tt.labels))
		})
	}
}

func TestAnAttemptAvoidsTheHostsOfThoseBefore(t *testing.T) {
	require.Nil(t, avoiding(nil, nil))
	not := corev1.NodeSelectorRequirement{Key: "kubernetes.io/hostname", Operator: corev1.NodeSelectorOpNotIn, Values: []string{"a", "b"}}
	required := func(a *corev1.Affinity) []corev1.NodeSelectorTerm {
		return a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
	}
	require.Equal(t, []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{not}}}, required(avoiding(nil, []string{"a", "b"})))

	zone := corev1.NodeSelectorRequirement{Key: "zone", Operator: corev1.NodeSelectorOpExists}
	own := &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
		NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{zone}}, {}},
	}}}
	require.Equal(t, []corev1.NodeSelectorTerm{
		{MatchExpressions: []corev1.NodeSelectorRequirement{zone, not}}, {MatchExpressions: []corev1.NodeSelectorRequirement{not}},
	}, required(avoiding(own, []string{"a", "b"})))
	require.Len(t, required(own)[0].MatchExpressions, 1, "the workflow's own stays as it is")
}
