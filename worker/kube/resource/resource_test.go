package resource

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/kubernetes/scheme"
	ktesting "k8s.io/client-go/testing"

	"argosy/worker"
	"argosy/worker/executortest"
	"argosy/workflow"
	"argosy/workflow/spec"
)

var configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}

// world is a cluster that is not one, with an executor that acts in it.
type world struct {
	*Executor
	objects *dynamicfake.FakeDynamicClient
	kept    *shelf
	store   *executortest.Store
	asked   []string // the accounts for which tokens were asked for
}

func newWorld(objects ...runtime.Object) *world {
	w := &world{
		objects: dynamicfake.NewSimpleDynamicClient(scheme.Scheme, objects...),
		kept:    &shelf{objects: map[string][]byte{}}, store: executortest.NewStore(),
	}
	mapper := meta.NewDefaultRESTMapper(nil)
	for kind, scope := range map[string]meta.RESTScope{"ConfigMap": meta.RESTScopeNamespace, "Pod": meta.RESTScopeNamespace, "Namespace": meta.RESTScopeRoot} {
		mapper.Add(schema.GroupVersionKind{Version: "v1", Kind: kind}, scope)
	}
	client := fake.NewClientset()
	client.PrependReactor("create", "serviceaccounts", func(a ktesting.Action) (bool, runtime.Object, error) {
		name := a.(ktesting.CreateActionImpl).Name
		if name == "missing" {
			return true, nil, apierrors.NewNotFound(corev1.Resource("serviceaccounts"), name)
		}
		w.asked = append(w.asked, a.GetNamespace()+"/"+name)
		return true, &authenticationv1.TokenRequest{Status: authenticationv1.TokenRequestStatus{
			Token: "t", ExpirationTimestamp: metav1.NewTime(time.Now().Add(time.Hour)),
		}}, nil
	})
	cluster := &Cluster{
		cfg: ClusterConfig{Owner: "test"}, client: client, mapper: mapper, accounts: map[types.NamespacedName]*account{},
		dial: func(oauth2.TokenSource) (dynamic.Interface, error) { return w.objects, nil },
	}
	next := worker.ExecutorFunc(func(context.Context, *worker.Step) (workflow.Result, error) {
		return workflow.Result{Phase: spec.NodeSucceeded, Message: "by the next executor"}, nil
	})
	w.Executor = New(next, cluster, w.kept, w.store, "here")
	w.poll, w.patient = time.Millisecond, 0
	return w
}

func (w *world) configMap(t *testing.T, name string) map[string]string {
	t.Helper()
	object, err := w.objects.Resource(configMaps).Namespace("default").Get(t.Context(), name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	require.NoError(t, err)
	data, _, err := unstructured.NestedStringMap(object.Object, "data")
	require.NoError(t, err)
	return data
}

// shelf is a Keeper.
type shelf struct{ objects map[string][]byte }

func (m *shelf) Create(_ context.Context, _, kind, id string, object []byte, _ bool) ([]byte, error) {
	o := &unstructured.Unstructured{}
	if err := json.Unmarshal(object, &o.Object); err != nil {
		return nil, err
	}
	if m.objects[o.GetName()] != nil {
		return nil, apierrors.NewAlreadyExists(schema.GroupResource{Group: group, Resource: kind}, o.GetName())
	}
	o.Object["status"] = map[string]any{"phase": "Succeeded"}
	o.SetUID(types.UID(id))
	m.objects[o.GetName()], _ = o.MarshalJSON()
	return m.objects[o.GetName()], nil
}

func (m *shelf) Get(_ context.Context, _, kind, name string) ([]byte, error) {
	if o := m.objects[name]; o != nil {
		return o, nil
	}
	return nil, apierrors.NewNotFound(schema.GroupResource{Group: group, Resource: kind}, name)
}

func (m *shelf) Update(context.Context, string, string, string, []byte) ([]byte, error) {
	return nil, errors.New("updated")
}

func (m *shelf) Delete(ctx context.Context, ns, kind, name string) error {
	_, err := m.Get(ctx, ns, kind, name)
	delete(m.objects, name)
	return err
}

func step(t spec.ResourceTemplate, outputs ...spec.Parameter) *worker.Step {
	return &worker.Step{
		Run: &workflow.Run{ID: "1", Name: "wf", Namespace: "default"}, Key: workflow.Root, Delivery: 1, Spec: &spec.WorkflowSpec{},
		Template: &spec.Template{Name: "acts", Resource: &t, Outputs: spec.Outputs{Parameters: outputs}}, Log: &executortest.Log{},
	}
}

func configMap(name string, data map[string]string) *unstructured.Unstructured {
	values := map[string]any{}
	for k, v := range data {
		values[k] = v
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "data": values,
		"metadata": map[string]any{"name": name, "namespace": "default", "uid": "uid-" + name, "labels": map[string]any{"is": name}},
	}}
}

const manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cm}\n"

func TestAnObjectIsActedOn(t *testing.T) {
	t.Parallel()
	old := map[string]string{"a": "1", "b": "2"}
	for name, tt := range map[string]struct {
		do      spec.ResourceTemplate
		without bool // the object is not there before
		after   map[string]string
		message string // of a failure
	}{
		"get":                       {do: spec.ResourceTemplate{Action: "get", Manifest: manifest}, after: old},
		"get by flags":              {do: spec.ResourceTemplate{Action: "get", Flags: []string{"configmap", "cm"}}, after: old},
		"get by type and name":      {do: spec.ResourceTemplate{Action: "get", Flags: []string{"configmap/cm", "-n", "default"}}, after: old},
		"get what is not there":     {do: spec.ResourceTemplate{Action: "get", Manifest: manifest}, without: true, message: `Error from server (NotFound): configmaps "cm" not found`},
		"get what need not be":      {do: spec.ResourceTemplate{Action: "get", Flags: []string{"configmap", "cm", "--ignore-not-found"}}, without: true},
		"get nothing":               {do: spec.ResourceTemplate{Action: "get"}, after: old, message: "Must provide at least one of flags or manifest."},
		"create":                    {do: spec.ResourceTemplate{Action: "create", Manifest: manifest + "data: {c: '3'}"}, without: true, after: map[string]string{"c": "3"}},
		"create what is there":      {do: spec.ResourceTemplate{Action: "create", Manifest: manifest}, after: old, message: `Error from server (AlreadyExists): configmaps "cm" already exists`},
		"create without a name":     {do: spec.ResourceTemplate{Action: "create", Manifest: "apiVersion: v1\nkind: ConfigMap\n"}, after: old, message: "error: resource name may not be empty"},
		"create without a kind":     {do: spec.ResourceTemplate{Action: "create", Manifest: "apiVersion: v1\n"}, after: old, message: "Object 'Kind' is missing"},
		"create an unknown kind":    {do: spec.ResourceTemplate{Action: "create", Manifest: "apiVersion: v1\nkind: Thing\nmetadata: {name: x}"}, after: old, message: `no matches for kind "Thing" in version "v1"`},
		"create several":            {do: spec.ResourceTemplate{Action: "create", Manifest: manifest + "---\n" + manifest}, after: old, message: "a resource template is for one"},
		"create elsewhere":          {do: spec.ResourceTemplate{Action: "create", Manifest: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: b}", Flags: []string{"-n", "c"}}, after: old, message: `the namespace from the provided object "b" does not match the namespace "c"`},
		"replace":                   {do: spec.ResourceTemplate{Action: "replace", Manifest: manifest + "data: {c: '3'}"}, after: map[string]string{"c": "3"}},
		"replace what is not there": {do: spec.ResourceTemplate{Action: "replace", Manifest: manifest}, without: true, message: "NotFound"},
		"patch":                     {do: spec.ResourceTemplate{Action: "patch", MergeStrategy: "merge", Manifest: manifest + "data: {b: '3'}"}, after: map[string]string{"a": "1", "b": "3"}},
		"patch, merging": {
			do:    spec.ResourceTemplate{Action: "patch", MergeStrategy: "merge", Manifest: manifest + "data: {b: null}"},
			after: map[string]string{"a": "1"},
		},
		"patch by JSON and flags": {
			do:    spec.ResourceTemplate{Action: "patch", MergeStrategy: "json", Manifest: "- {op: remove, path: /data/a}", Flags: []string{"cm", "cm"}},
			after: old, message: "no matches",
		},
		"patch by JSON and flags of a known type": {
			do:    spec.ResourceTemplate{Action: "patch", MergeStrategy: "json", Manifest: "- {op: remove, path: /data/a}", Flags: []string{"configmaps", "cm"}},
			after: map[string]string{"b": "2"},
		},
		"patch by flags and a part": {
			do:    spec.ResourceTemplate{Action: "patch", MergeStrategy: "merge", Manifest: "data: {a: '9'}", Flags: []string{"configmap", "cm"}},
			after: map[string]string{"a": "9", "b": "2"},
		},
		"patch without a kind":          {do: spec.ResourceTemplate{Action: "patch", Manifest: "apiVersion: v1\nmetadata: {name: cm}"}, after: old, message: "Object 'Kind' is missing"},
		"patch in an unknown way":       {do: spec.ResourceTemplate{Action: "patch", MergeStrategy: "best", Manifest: manifest}, after: old, message: `error: --type must be one of [json merge strategic], not "best"`},
		"delete":                        {do: spec.ResourceTemplate{Action: "delete", Manifest: manifest}},
		"delete what is not there":      {do: spec.ResourceTemplate{Action: "delete", Manifest: manifest}, without: true},
		"delete by a selector":          {do: spec.ResourceTemplate{Action: "delete", Flags: []string{"configmap", "--selector", "is=cm"}}},
		"delete by another selector":    {do: spec.ResourceTemplate{Action: "delete", Flags: []string{"configmap", "-l", "is=other"}}, after: old},
		"delete nothing in particular":  {do: spec.ResourceTemplate{Action: "delete", Flags: []string{"configmap"}}, after: old, message: "no name was specified"},
		"delete and wait for a state":   {do: spec.ResourceTemplate{Action: "delete", Manifest: manifest, SuccessCondition: "a = b"}, after: old, message: "successCondition, failureCondition and outputs are not supported for delete action"},
		"delete with an odd cascade":    {do: spec.ResourceTemplate{Action: "delete", Manifest: manifest, Flags: []string{"--cascade=up"}}, after: old, message: "invalid cascade value (up)"},
		"an unknown flag":               {do: spec.ResourceTemplate{Action: "get", Flags: []string{"--raw"}}, after: old, message: "error: unknown flag: --raw"},
		"an unknown action":             {do: spec.ResourceTemplate{Action: "paint", Manifest: manifest}, after: old, message: "must be one of: get, create"},
		"a condition that is met":       {do: spec.ResourceTemplate{Action: "get", Manifest: manifest, SuccessCondition: "data.a == 1, data.b in (1, 2)", FailureCondition: "data.a > 1"}, after: old},
		"a failure":                     {do: spec.ResourceTemplate{Action: "get", Manifest: manifest, SuccessCondition: "data.a == 1", FailureCondition: "data.b in (2, 3)"}, after: old, message: "main: Error (exit code 64): failure condition '{data.b in [2 3]}' evaluated true"},
		"only a failure, not met":       {do: spec.ResourceTemplate{Action: "get", Manifest: manifest, FailureCondition: "data.b > 5"}, after: old},
		"a condition that is no such":   {do: spec.ResourceTemplate{Action: "get", Manifest: manifest, SuccessCondition: "a ~ b"}, after: old, message: "success condition 'a ~ b' failed to parse"},
		"a failure that is no such":     {do: spec.ResourceTemplate{Action: "get", Manifest: manifest, FailureCondition: "a ~ b"}, after: old, message: "fail condition 'a ~ b' failed to parse"},
		"a manifest that is no YAML":    {do: spec.ResourceTemplate{Action: "get", Manifest: "a: [b"}, after: old, message: "error parsing the manifest"},
		"a manifest and names by flags": {do: spec.ResourceTemplate{Action: "delete", Manifest: manifest, Flags: []string{"configmap", "cm"}}, after: old, message: "you may not specify resource arguments as well"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(configMap("other", nil))
			if !tt.without {
				require.NoError(t, w.objects.Tracker().Add(configMap("cm", old)))
			}
			s := step(tt.do)
			r, err := w.Execute(t.Context(), s)
			require.NoError(t, err)
			require.Equal(t, tt.after, w.configMap(t, "cm"))
			require.Equal(t, "here", r.Host)
			require.NotZero(t, r.Finished)
			if tt.message != "" {
				require.Equal(t, spec.NodeFailed, r.Phase)
				require.Contains(t, r.Message, tt.message)
				require.Contains(t, s.Log.(*executortest.Log).String(), tt.message[max(0, len(tt.message)-20):])
				return
			}
			require.Equal(t, spec.NodeSucceeded, r.Phase, r.Message)
			require.Zero(t, *r.Outputs.ExitCode)
		})
	}
}

func TestOutputsAreReadFromTheObject(t *testing.T) {
	t.Parallel()
	text := func(s string) *spec.AnyString { a := spec.AnyString(s); return &a }
	for name, tt := range map[string]struct {
		from    spec.ValueFrom
		absent  bool
		value   string
		message string
	}{
		"a path":                         {from: spec.ValueFrom{JSONPath: "{.metadata.name}"}, value: "cm"},
		"a path without braces":          {from: spec.ValueFrom{JSONPath: ".metadata.name"}, value: "cm"},
		"a path to nothing":              {from: spec.ValueFrom{JSONPath: "{.data.none}"}, value: ""},
		"a path to a map":                {from: spec.ValueFrom{JSONPath: "{.data}"}, value: `{"a":"1","json":"{\"n\": [1, \"x\"]}"}`},
		"a broken path":                  {from: spec.ValueFrom{JSONPath: "{.a"}, message: "parsing jsonPath"},
		"a broken path with a default":   {from: spec.ValueFrom{JSONPath: "{.a", Default: text("d")}, value: "d"},
		"a filter":                       {from: spec.ValueFrom{JQFilter: ".metadata.name"}, value: "cm"},
		"a filter of text":               {from: spec.ValueFrom{JQFilter: ".data.json | fromjson | .n"}, value: `[1,"x"]`},
		"a filter with several results":  {from: spec.ValueFrom{JQFilter: ".data.json | fromjson | .n[]"}, value: "1\nx"},
		"a broken filter":                {from: spec.ValueFrom{JQFilter: ".["}, message: "parsing jqFilter"},
		"a filter that fails":            {from: spec.ValueFrom{JQFilter: ".data | fromjson"}, message: "executing jqFilter"},
		"a filter that sees the worker":  {from: spec.ValueFrom{JQFilter: "env | length"}, value: "0"},
		"a filter without end":           {from: spec.ValueFrom{JQFilter: "[limit(1; repeat(empty))]"}, message: "deadline exceeded"},
		"no object":                      {from: spec.ValueFrom{JSONPath: "{.metadata.name}"}, absent: true, value: ""},
		"no object and a default":        {from: spec.ValueFrom{JQFilter: ".metadata.name", Default: text("none")}, absent: true, value: "none"},
		"results that are far too large": {from: spec.ValueFrom{JQFilter: `"x" * 1000000`}, message: "output parameter out: the results of jqFilter have more than"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			if !tt.absent {
				require.NoError(t, w.objects.Tracker().Add(configMap("cm", map[string]string{"a": "1", "json": `{"n": [1, "x"]}`})))
			}
			r, err := w.Execute(t.Context(), step(
				spec.ResourceTemplate{Action: "get", Flags: []string{"configmap", "cm", "--ignore-not-found"}},
				spec.Parameter{Name: "out", ValueFrom: &tt.from, GlobalName: "g"}))
			require.NoError(t, err)
			if tt.message != "" {
				require.Equal(t, spec.NodeFailed, r.Phase)
				require.Contains(t, r.Message, tt.message)
				return
			}
			require.Equal(t, spec.NodeSucceeded, r.Phase, r.Message)
			require.Equal(t, []workflow.Param{{Name: "out", Value: tt.value, Global: "g"}}, r.Outputs.Parameters)
		})
	}
}

func TestARepeatedCreateFindsWhatItMade(t *testing.T) {
	t.Parallel()
	for _, metadata := range []string{"{name: made}", "{generateName: made-}"} {
		w := newWorld()
		create := spec.ResourceTemplate{Action: "create", Manifest: "apiVersion: v1\nkind: ConfigMap\nmetadata: " + metadata}
		name := spec.Parameter{Name: "name", ValueFrom: &spec.ValueFrom{JSONPath: "{.metadata.name}"}}
		var names []string
		deliver := func(delivery int) *workflow.Result {
			s := step(create, name)
			s.Delivery = delivery
			r, err := w.Execute(t.Context(), s)
			require.NoError(t, err)
			if r.Phase == spec.NodeSucceeded {
				names = append(names, r.Outputs.Parameters[0].Value)
			}
			return &r
		}
		deliver(1)
		deliver(2)
		require.Len(t, names, 2)
		require.Equal(t, names[0], names[1])
		// The run was taken up again, and the step is another one.
		again := deliver(workflow.LifeDeliveries + 1)
		if metadata == "{name: made}" {
			require.Contains(t, again.Message, "already exists")
			continue
		}
		require.Len(t, slices.Compact(slices.Sorted(slices.Values(names))), 2)
	}
}

func TestTheStepActsAsTheAccountOfItsRun(t *testing.T) {
	t.Parallel()
	w := newWorld(configMap("cm", nil))
	get := spec.ResourceTemplate{Action: "get", Manifest: manifest}
	run := func(ofTemplate, ofSpec string) error {
		s := step(get)
		s.Template.ServiceAccountName, s.Spec.ServiceAccountName = ofTemplate, ofSpec
		_, err := w.Execute(t.Context(), s)
		return err
	}
	for _, accounts := range [][2]string{{"", ""}, {"", "robot"}, {"mine", "robot"}, {"mine", ""}} {
		require.NoError(t, run(accounts[0], accounts[1]))
	}
	require.Equal(t, []string{"default/default", "default/robot", "default/mine"}, w.asked, "a token is asked for once")

	fault, ok := errors.AsType[*worker.Fault](run("missing", ""))
	require.True(t, ok)
	require.Equal(t, worker.ClassInvalid, fault.Class)
	require.ErrorContains(t, fault, `there is no service account "missing" in namespace "default"`)

	w.cluster.cfg.Own = true
	w.asked = nil
	require.NoError(t, run("", ""))
	require.Empty(t, w.asked, "a worker of one user acts as that user")
}

func TestAnObjectIsWaitedFor(t *testing.T) {
	t.Parallel()
	for _, unwatched := range []bool{false, true} {
		w := newWorld(configMap("cm", map[string]string{"n": "1"}))
		looked := make(chan struct{}, 1)
		look := func(ktesting.Action) (bool, runtime.Object, error) {
			select {
			case looked <- struct{}{}:
			default:
			}
			return false, nil, nil
		}
		w.objects.PrependReactor("get", "configmaps", look)
		if unwatched {
			w.objects.PrependWatchReactor("configmaps", func(ktesting.Action) (bool, watch.Interface, error) {
				return true, nil, apierrors.NewForbidden(corev1.Resource("configmaps"), "cm", errors.New("no watch"))
			})
		}
		s := step(spec.ResourceTemplate{Action: "get", Manifest: manifest, SuccessCondition: "data.n > 2", FailureCondition: "data.bad = yes"},
			spec.Parameter{Name: "n", ValueFrom: &spec.ValueFrom{JSONPath: "{.data.n}"}})
		change := func(data map[string]string) {
			require.NoError(t, w.objects.Tracker().Update(configMaps, configMap("cm", data), "default"))
		}
		ended := make(chan workflow.Result, 1)
		go func() {
			r, err := w.Execute(t.Context(), s)
			if err != nil {
				r.Message = err.Error()
			}
			ended <- r
		}()
		<-looked
		change(map[string]string{"n": "2"})
		change(map[string]string{"n": "3"})
		r := <-ended
		require.Equal(t, spec.NodeSucceeded, r.Phase, r.Message)
		require.Equal(t, "3", r.Outputs.Parameters[0].Value)
	}
}

func TestAnObjectThatGoesWhileItIsWaitedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(configMap("cm", map[string]string{"n": "1"}))
	w.objects.PrependWatchReactor("configmaps", func(ktesting.Action) (bool, watch.Interface, error) {
		err := w.objects.Tracker().Delete(configMaps, "default", "cm")
		return true, nil, errors.Join(errors.New("no watch"), err)
	})
	r, err := w.Execute(t.Context(), step(spec.ResourceTemplate{Action: "get", Manifest: manifest, SuccessCondition: "data.n = 2"}))
	require.NoError(t, err)
	require.Equal(t, spec.NodeFailed, r.Phase)
	require.Contains(t, r.Message, "The resource has been deleted while its status was still being checked. Will not be retried")
}

func TestTheWaitingEndsWithTheStep(t *testing.T) {
	t.Parallel()
	w := newWorld(configMap("cm", nil))
	s := step(spec.ResourceTemplate{Action: "get", Manifest: manifest, SuccessCondition: "data.n = 2"})
	ctx, cancel := context.WithCancelCause(t.Context())
	w.objects.PrependWatchReactor("configmaps", func(ktesting.Action) (bool, watch.Interface, error) {
		cancel(worker.ErrShutdown)
		return false, nil, nil
	})
	_, err := w.Execute(ctx, s)
	require.ErrorIs(t, err, worker.ErrShutdown)

	s.Deadline = time.Now().Add(time.Millisecond)
	r, err := w.Execute(t.Context(), s)
	require.NoError(t, err)
	require.Equal(t, spec.NodeFailed, r.Phase)
	require.Equal(t, worker.DeadlineMessage, r.Message)
}

func TestWhatARunOwnsGoesWithIt(t *testing.T) {
	t.Parallel()
	w := newWorld()
	s := step(spec.ResourceTemplate{Action: "create", SetOwnerReference: true, Manifest: manifest})
	r, err := w.Execute(t.Context(), s)
	require.NoError(t, err)
	require.Equal(t, spec.NodeSucceeded, r.Phase, r.Message)
	made, err := w.objects.Resource(configMaps).Namespace("default").Get(t.Context(), "cm", metav1.GetOptions{})
	require.NoError(t, err)
	owners := made.GetOwnerReferences()
	require.Len(t, owners, 1)
	require.Equal(t, "Lease", owners[0].Kind)

	leases := func() int {
		list, err := w.cluster.client.CoordinationV1().Leases("default").List(t.Context(), metav1.ListOptions{LabelSelector: labelRun + "=1"})
		require.NoError(t, err)
		return len(list.Items)
	}
	is := func(gone bool) func(context.Context, string) (bool, error) {
		return func(_ context.Context, run string) (bool, error) { return gone && run == "1", nil }
	}
	require.NoError(t, w.cluster.Sweep(t.Context(), "", is(false)))
	require.Equal(t, 1, leases())
	require.NoError(t, w.cluster.Sweep(t.Context(), "", is(true)))
	require.Zero(t, leases())
}

func TestAManifestComesFromAnArtifact(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.store.Set("cm.yaml", manifest+"data: {from: artifact}")
	create := func(in spec.Artifact) (workflow.Result, error) {
		in.Name, in.Path = "manifest", "/tmp/manifest.yaml"
		s := step(spec.ResourceTemplate{Action: "create", ManifestFrom: &spec.ManifestFrom{Artifact: &spec.Artifact{Name: "manifest"}}})
		s.Template.Inputs.Artifacts = []spec.Artifact{in}
		return w.Execute(t.Context(), s)
	}
	stored := spec.Artifact{Archive: &spec.ArchiveStrategy{None: &spec.NoneStrategy{}}}
	stored.S3 = &spec.S3Artifact{Key: "cm.yaml"}
	r, err := create(stored)
	require.NoError(t, err)
	require.Equal(t, spec.NodeSucceeded, r.Phase, r.Message)
	require.Equal(t, map[string]string{"from": "artifact"}, w.configMap(t, "cm"))

	raw := spec.Artifact{}
	raw.Raw = &spec.RawArtifact{Data: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: raw}\ndata: {from: raw}"}
	r, err = create(raw)
	require.NoError(t, err)
	require.Equal(t, spec.NodeSucceeded, r.Phase, r.Message)
	require.Equal(t, map[string]string{"from": "raw"}, w.configMap(t, "raw"))

	stored.S3 = &spec.S3Artifact{Key: "none.yaml"}
	_, err = create(stored)
	fault, ok := errors.AsType[*worker.Fault](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, worker.ClassInput, fault.Class)
}

func TestWorkflowsAreArgosysOwn(t *testing.T) {
	t.Parallel()
	const workflows = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: "
	w := newWorld()
	w.cluster = nil // none is needed
	do := func(t spec.ResourceTemplate) workflow.Result {
		r, err := w.Execute(context.Background(), step(t, spec.Parameter{Name: "name", ValueFrom: &spec.ValueFrom{JSONPath: "{.metadata.name}"}}))
		if err != nil {
			r.Message = err.Error()
		}
		return r
	}
	until := "status.phase == Succeeded"
	r := do(spec.ResourceTemplate{Action: "create", Manifest: workflows + "{generateName: sub-}", SuccessCondition: until})
	require.Equal(t, spec.NodeSucceeded, r.Phase, r.Message)
	name := r.Outputs.Parameters[0].Value
	again := do(spec.ResourceTemplate{Action: "create", Manifest: workflows + "{generateName: sub-}", SuccessCondition: until, SetOwnerReference: true})
	require.Equal(t, name, again.Outputs.Parameters[0].Value)
	require.Len(t, w.kept.objects, 1)
	owned := do(spec.ResourceTemplate{Action: "create", Manifest: workflows + "{name: owned}", SetOwnerReference: true})
	require.Equal(t, spec.NodeSucceeded, owned.Phase, owned.Message)
	require.Contains(t, string(w.kept.objects["owned"]), `"ownerReferences":[{"apiVersion":"argoproj.io/v1alpha1","kind":"Workflow","name":"`)
	delete(w.kept.objects, "owned")
	r = do(spec.ResourceTemplate{Action: "get", Flags: []string{"wf", name}, FailureCondition: until})
	require.Contains(t, r.Message, "evaluated true")
	for message, tt := range map[string]spec.ResourceTemplate{
		"have no access to those of others": {Action: "get", Manifest: workflows + "{name: a, namespace: another}"},
		"not found":                         {Action: "get", Manifest: workflows + "{name: a}"},
		"patch is not supported":            {Action: "patch", Manifest: workflows + "{name: a}"},
		`and not "ClusterWorkflowTemplate"`: {Action: "create", Manifest: "apiVersion: argoproj.io/v1alpha1\nkind: ClusterWorkflowTemplate\nmetadata: {name: a}"},
		"this worker has no cluster":        {Action: "get", Manifest: manifest},
	} {
		r := do(tt)
		require.NotEqual(t, spec.NodeSucceeded, r.Phase)
		require.Contains(t, r.Message, message)
	}
	remove := step(spec.ResourceTemplate{Action: "delete", Flags: []string{"workflow", name}})
	r, err := w.Execute(t.Context(), remove)
	require.NoError(t, err)
	require.Equal(t, spec.NodeSucceeded, r.Phase, r.Message)
	require.Empty(t, w.kept.objects)
}

func TestOtherTemplatesGoToTheNextExecutor(t *testing.T) {
	t.Parallel()
	s := step(spec.ResourceTemplate{})
	s.Template = &spec.Template{Container: &corev1.Container{}}
	r, err := newWorld().Execute(t.Context(), s)
	require.NoError(t, err)
	require.Equal(t, "by the next executor", r.Message)
}
