package spec

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// matrix says of every feature of Argo Workflows 4.1 whether it is here: yes, no or differs,
// and how. The last column names its fields in the tables of unsupported.go, below spec,
// template or call; so a feature that comes, or goes, must be said here too.
const matrix = `
# 1. Template types
container | yes
script | yes
script without source | yes
steps | yes
empty step group | yes
dag | yes
containerSet | differs | a set shows its containers when it has ended
containerSet outputs | differs | collected when all containers have ended
containerSet retryStrategy | yes
suspend | yes
resource | differs | the worker itself acts, as the run's service account, without a pod: no pod has the name pod.name; a manifest has one object; apply is the API server's
http | differs | the worker itself makes the request, not a pod of each workflow; no proxies, and at most 16 MiB of an answer
plugin | differs | asked of programs beside the workers, which --executor-plugin names; where there are none it is refused at submission
data | differs | the worker itself lists and transforms, without a pod; of no URLs and git repositories, which have nothing to list | template.data.source.artifactPaths.git template.data.source.artifactPaths.http template.data.source.artifactPaths.artifactory template.data.source.artifactPaths.hdfs
inline | yes
template type / lookup rules | yes
templateDefaults | yes
# 2. Steps / DAG semantics
step group failure | yes
steps roll-up | yes
dag roll-up | yes
dag dependencies | yes
depends logic | yes
depends bare task | yes
depends AnySucceeded/AllFailed | yes
depends vs dependencies | yes
omitted | yes
branch phase inheritance | yes
handled failure | yes
dag failFast (default true) | yes
dag failFast false | yes
dag target | yes
nested dag/steps | yes
recursion | yes
when (govaluate) | yes
when false | yes
when with item | yes
when invalid | yes
continueOn failed/error | yes
withItems | yes
withItems map | yes
withParam | yes
withSequence | yes
withSequence zero | yes
empty loop | yes
loop group node | yes
sequential loop | yes
node naming | yes
node id | yes
pod name v2 | yes
shadowed names | yes
# 3. Parameters and outputs
spec.arguments.parameters | yes
entrypoint inputs | yes
input default / value | yes
argument precedence | yes
input valueFrom.configMapKeyRef | yes
configMapKeyRef default | yes
global valueFrom.configMapKeyRef | differs | read when the workflow is submitted; one that is not there ends the run as Error
enum / description | yes
AnyString values | yes
outputs valueFrom.path | yes
outputs valueFrom.default | yes
outputs valueFrom.parameter | yes
outputs valueFrom.expression | yes
outputs valueFrom.jsonPath / jqFilter | differs | a filter has 2 s; not of arguments and inputs, where Argo has no use for them | spec.arguments.parameters.valueFrom.jsonPath spec.arguments.parameters.valueFrom.jqFilter template.inputs.parameters.valueFrom.jsonPath template.inputs.parameters.valueFrom.jqFilter call.arguments.parameters.valueFrom.jsonPath call.arguments.parameters.valueFrom.jqFilter
outputs valueFrom.supplied | differs | of outputs alone | spec.arguments.parameters.valueFrom.supplied template.inputs.parameters.valueFrom.supplied call.arguments.parameters.valueFrom.supplied
outputs valueFrom.event | differs | in the arguments of a WorkflowEventBinding; elsewhere, where it has no value, it is refused | spec.arguments.parameters.valueFrom.event template.inputs.parameters.valueFrom.event call.arguments.parameters.valueFrom.event
outputs literal value | yes
outputs.result | yes
outputs.exitCode | yes
aggregated result | yes
aggregated parameters | yes
globalName parameter | yes
skipped output, producer default | yes
skipped output, consumer default | yes
skipped output, expression | yes
skipped output, unhandled | yes
skipped withParam / volumes | yes
empty is not absent | yes
ancestor outputs | yes
JSON-safe substitution | yes
unknown custom variables | yes
# 4. Artifacts
artifact passing | yes
default repository | differs | the store that the fleet is started with, or what artifactRepositoryRef names; a config map is not looked for without it
artifactRepositoryRef | differs | read when the workflow is submitted, from the workflow's own namespace; not hdfs
key-only artifact | yes
hard-wired location | yes
s3 | differs | useSDKCreds and roleARN where workers are started with --lend-cloud-identity; without keys and without these nobody is signed in; a bucket of its own needs its own endpoint
gcs / azure / oss / hdfs | differs | hdfs is refused; gcs without a key, and useSDKCreds of azure and oss, where workers are started with --lend-cloud-identity | template.inputs.artifacts.hdfs spec.arguments.artifacts.hdfs call.arguments.artifacts.hdfs template.outputs.artifacts.hdfs
git input | differs | ssh needs a private key; submodules over https and http only; an output is refused | template.outputs.artifacts.git
http / artifactory | differs | an upload is not sent again to where a redirect leads | template.outputs.artifacts.http.saveStreamViaFile
raw | yes
plugin driver | differs | a program beside the workers, which --artifact-plugin names, and no sidecar of the step's; one that is not named is refused at submission
archive default | yes
archive none | yes
archive tar compressionLevel / zip | yes
optional input | yes
optional output | yes
non-optional missing output | yes
mode / recurseMode | yes
subPath | yes
fromExpression | yes
globalName artifact | yes
artifact path variables | yes
same path in and out | yes
artifact on volume mount | yes
artifact arguments with item | yes
workflow argument artifacts | yes
archiveLogs | differs | one log for all containers of a set; no setting of the whole fleet
archiveLocation | differs | not git and hdfs | template.archiveLocation.git template.archiveLocation.hdfs
artifactGC strategy | differs | not of what went to a URL; what was deleted is not marked so in the status
artifactGC finalizer | differs | a deleted run stays until its artifacts are gone; without a finalizer that shows
artifactGC failure | differs | the run stays and it is tried again every 30 s; told in the log, not as a condition
artifactGC pod options | no | it has no effect | spec.artifactGC.serviceAccountName spec.artifactGC.podMetadata spec.artifactGC.podSpecPatch template.outputs.artifacts.artifactGC.serviceAccountName template.outputs.artifacts.artifactGC.podMetadata
artifact saved when stopped/failed | yes
# 5. Expressions and variables
simple tag | yes
expression tag | differs | braces within an expression may be nested; Argo ends the tag at the first two
expr helpers | yes
jsonpath filter | yes
two-phase substitution | yes
missing steps/tasks variable | yes
workflow.name/namespace/uid/serviceAccountName/priority | yes
workflow.mainEntrypoint | yes
workflow.parameters[.json] / inputs.parameters | yes
workflow.labels/annotations[.json] | yes
workflow.creationTimestamp[.X] | yes
workflow.duration / scheduledTime | yes
workflow.status / failures | yes |
workflow.outputs.* | yes
node.name / pod.name / steps.name / tasks.name | yes
steps|tasks.X.id/ip/status/exitCode/startedAt/finishedAt/hostNodeName | differs | the ip of a local process is --step-address of its worker, or 127.0.0.1
item / item.key | yes
retries / lastRetry.* | yes
cronworkflow.* | yes
request.* / response.* | yes
metrics variables | differs | resourcesDuration of Jobs, and not of steps and dag templates
# 6. Retries, timeouts, failures
retryStrategy.limit | yes
Retry node | yes
retryPolicy | yes
retry expression | yes
backoff | yes
affinity.nodeAntiAffinity | differs | in Jobs | template.retryStrategy.affinity
retry on steps/dag templates | yes
workflow-level retryStrategy | yes
non-retryable | yes
retry outputs | yes
activeDeadlineSeconds (workflow) | yes
activeDeadlineSeconds (template) | yes
timeout (template) | yes
pendingTimeout | differs | in Jobs, also of one that a quota keeps from being made; local processes wait for nothing | template.pendingTimeout
deadline message | yes
signals | yes
start failure | yes
Error vs Failed | yes
failed pod restart | differs | always, at most three times; shown in the log of the worker
pod deleted externally | yes
workflow phases | yes
node phases / types | differs | those of what runs yet
exit status propagation | yes
progress | differs | the containers of a set count as their one step; $ARGO_PROGRESS_FILE is read where the template names it, or has something to stage or collect
# 7. Hooks and exit handlers
onExit (workflow) | yes
exit handler failure | yes
onExit (step/task) | yes
hooks.exit | yes
exit arguments from own outputs | yes
exit with missing outputs | yes
lifecycle hooks | differs | what is Running is evaluated when a step is sent, not when its pod runs
hook completion | yes
hook node flags | yes
hooks with retry | yes
hooks with synchronization | yes
hooks in loops | yes
hooks from WorkflowTemplate | yes
exit after deadline | yes
exit on stop / terminate | yes
# 8. Synchronization, memoization, parallelism
mutexes (workflow/template) | yes
semaphores (ConfigMap) | yes
several locks | yes
lock namespace field | yes
waiting state | yes
lock release | yes
steps/dag-level locks | yes
database locks | yes
database lock liveness | yes
sync limit API | yes
memoize | differs | what is kept is in a store of its own, by cache and key, and not in a ConfigMap; collected by flags of the coordinator
memoize steps/dag | yes
parallelism (workflow) | yes
parallelism (template) | yes
failFast (template) | yes
controller parallelism | differs | flags of the coordinators, for single namespaces too; of runs that began since there was one
priority | differs | three classes of what waits for workers: above 0, 0 and below 0
resourceRateLimit | no
# 9. Suspend, resume, stop, retry, resubmit
suspend duration | yes
suspend timeout without value | yes
spec.suspend | yes
resume by selector | yes
node set | yes
intermediate inputs | yes
stop | yes
terminate | yes
retry (workflow) | yes
retry --restart-successful / -p | differs | at most 20,000 nodes by a selector, of wide loops so many ranges of items
retry side effects | yes
resubmit | yes
resubmit --memoized | yes
delete | differs | --force waits neither for artifacts that go with a run nor for the archive
# 10. Pods: daemon, sidecars, volumes, scheduling
daemon | differs | one that serves takes no place of a parallelism; none of several containers
daemon readinessProbe | differs | without grpc in a local process, whose other steps are not probed | template.container.readinessProbe template.script.readinessProbe
daemon retry / templateRef | differs | one whose worker is lost runs again without a retryStrategy
sidecars | differs | one that fails by itself is started again in Jobs, and fails a local process step
mirrorVolumeMounts | differs | not of artifacts in Jobs
initContainers | yes
volumes emptyDir/configMap/secret/existing PVC | differs | local processes keep a directory for each claim; Jobs find what the cluster has
volumeClaimTemplates | differs | made when the first step mounts them; local processes keep a directory for each run on their own machine
volumeClaimGC | differs | looked at every 30 s; in Jobs the Jobs that mount a claim go with it
pvc create failure | differs | the step ends as Error; a quota is waited for
secrets as env/volume | yes
podSpecPatch | differs | in a local process, only what the patch says of the main container's command, arguments and environment
podSpecPatch from outputs | yes
podMetadata / template.metadata | differs | in Jobs; a local process has none of it | spec.podMetadata template.metadata
resources / podResources / resourceClaims | differs | in Jobs; a local process has none of it | template.container.resources template.script.resources spec.podResources template.podResources spec.resourceClaims template.resourceClaims
nodeSelector, affinity, tolerations, schedulerName, priorityClass | differs | in Jobs; a local process has none of it | spec.nodeSelector template.nodeSelector spec.affinity template.affinity spec.tolerations template.tolerations spec.schedulerName template.schedulerName spec.podPriorityClassName template.priorityClassName
hostAliases, dnsConfig, hostNetwork, imagePullSecrets | differs | in Jobs; a local process has none of it | spec.hostAliases template.hostAliases spec.dnsConfig spec.dnsPolicy spec.hostNetwork spec.imagePullSecrets
securityContext | differs | in Jobs; a local process has none of it | spec.securityContext template.securityContext template.container.securityContext template.script.securityContext
serviceAccountName / executor.serviceAccountName / automount | differs | in Jobs; no pod has an executor container that would need an account | spec.serviceAccountName template.serviceAccountName spec.executor template.executor spec.automountServiceAccountToken template.automountServiceAccountToken
tty/stdin/workingDir/env/lifecycle | differs | lifecycle, probes and ports in Jobs only | template.container.lifecycle template.script.lifecycle template.container.livenessProbe template.script.livenessProbe template.container.startupProbe template.script.startupProbe template.container.ports template.script.ports
image entrypoint lookup | differs | the file of --images says what images start; a Job that stages nothing leaves it to the image
podGC | differs | of Jobs, looked at every 15 s; without it an ended Job stays for 10 minutes; of wide loops when the run ends | spec.podGC
ttlStrategy | yes
retentionPolicy | differs | a flag of the coordinator; of runs that ended since it was given
podDisruptionBudget | differs | in Jobs; removed within 15 s of the end of the run | spec.podDisruptionBudget
debug pause | differs | in Jobs only, of containers whose own env asks for it; sidecars and init containers do not pause
resourcesDuration | differs | of Jobs; not of items of wide loops
estimatedDuration | differs | as of when a run is submitted, by the last that succeeded; of nodes as long as that run is there
initlessPod | differs | no pod has a wait container; a step that stages nothing is its container alone
windows | no
# 11. WorkflowTemplate, ClusterWorkflowTemplate, Cron, Events
WorkflowTemplate | yes
ClusterWorkflowTemplate | yes
templateRef | yes
workflowTemplateRef | yes
missing template | differs | refused when the workflow is submitted
storedTemplates / storedWorkflowTemplateSpec | differs | all that a run may refer to is stored when it is submitted, not as it is used
workflowMetadata | differs | a labelsFrom that fails is refused when the workflow is submitted
template label | yes
workflowDefaults | differs | a file that server and coordinator are given
workflowRestrictions | differs | a flag of server and coordinator; refused when submitted; a run keeps its template as it was, so that Strict and Secure are the same
CronWorkflow schedules | differs | without a timezone, UTC
concurrencyPolicy | yes
startingDeadlineSeconds | differs | a tick that is up to 30 s late is never missed
history limits / suspend | differs | of the runs that schedules started
cron when | yes
stopStrategy | yes
cron scheduledTime | yes
cron backfill | differs | the command submits the runs itself
cron name limit | yes
cron status | differs | of the runs that schedules started
WorkflowEventBinding | yes
event metadata | differs | without claimSet
event queue | differs | always async; a malformed binding is logged
webhooks | differs | the request may tell of that one event, as the service account, whatever this one may do; any event of a client, not a list of them
# 12. Resource / HTTP / plugin / data details
resource setOwnerReference | differs | a Lease in the run's namespace stands for the run and goes within 30 s of its deletion; workflows that it made go then, too, and show no ownerReferences
resource conditions | yes
resource flags | differs | kubectl's that choose objects and how to change them; one type at a time
resource mergeStrategy | yes
resource manifestFrom | yes
resource manifest templating | yes
workflow of workflows | differs | workflows, their templates and cron workflows of the run's own namespace; they cannot be patched
http fields | yes
http success | yes
executor plugin | differs | a program beside the workers and no sidecar of an agent; one that answers neither an end nor when to ask again fails its node; what it says of a node that runs is in the log
workflow-level executorPlugins | no | start the program beside the workers instead | spec.executorPlugins
artifact driver plugin API | yes
# 13. Metrics, events, tracing, persistence
custom metrics | differs | each coordinator exposes what it counted
templateDefaults metrics | yes
controller metrics | differs | metrics of our own names
k8s events | differs | with --kubernetes-events; a step's WorkflowNodeRunning comes with its end; none of step groups, nor of items beyond the first 100 of a loop
OpenTelemetry traces | differs | spans are sent when they have ended; of wide loops the loop and its chunks
status conditions | differs | Completed, PodRunning, SpecError and MetricsError
labels | yes
node status compression / offload | differs | nodes are kept apart from their run whatever its size
workflow archive | differs | in the artifact store; coordinators are told by flags
title / description / display-name annotations | differs | argosy get shows a title and a description, as text
creator labels | differs | as far as the file of --token-file says whose a token is
instanceID / leader election | differs | any number of coordinators are active at once
# 14. Server API, auth, UI
REST + gRPC | differs | REST only
workflow service | differs | without the stream of Kubernetes events; the logs of a pod by the parameter podName
template / cluster / cron services | yes
archive, event and sync services | differs | events
fields filter | yes
list filters | yes
artifact server | differs | a directory that was stored without an archive is downloaded as one
artifact upload | no
auth modes | differs | bearer tokens of a file, which may say whose they are
SSO + RBAC | no
rate limit headers | no
UI list/details | no
UI actions | no
UI extras | no
# 15. CLI
argo submit | yes
argo list | yes
argo get / watch / wait | yes
argo logs | yes
argo stop / terminate / suspend / resume | yes
argo retry / resubmit | yes
argo node set | yes
argo delete | yes
argo lint | differs | also json; exit code 2; always strict and offline
argo template / cluster-template | yes
argo cron | yes
argo archive | differs | a retried run keeps its uid
argo cp | yes
argo sync | yes
argo convert | yes
argo server / auth token / version / completion / executor-plugin build | differs | server, version and completion
@latest alias | yes
connection flags | differs | --argosy-server, --token and --namespace, and Argo's variables for them
`

var update = flag.Bool("update", false, "write docs/compatibility.md")

const compatibilityPage = "../../docs/compatibility.md"

// feature is a row of the matrix.
type feature struct {
	name, answer, how string
	fields            []string
}

type section struct {
	title    string
	features []feature
}

func readMatrix(t *testing.T) []section {
	t.Helper()
	var out []section
	for line := range strings.Lines(strings.TrimSpace(matrix)) {
		line = strings.TrimSpace(line)
		if title, ok := strings.CutPrefix(line, "# "); ok {
			out = append(out, section{title: title})
			continue
		}
		columns := append(strings.Split(line, "|"), "", "")
		if strings.HasPrefix(line, "steps|tasks.") { // a name with a bar in it
			columns = append([]string{columns[0] + "|" + columns[1]}, columns[2:]...)
		}
		for i := range columns {
			columns[i] = strings.TrimSpace(columns[i])
		}
		f := feature{name: columns[0], answer: columns[1], how: columns[2], fields: strings.Fields(columns[3])}
		require.Contains(t, []string{"yes", "no", "differs"}, f.answer, line)
		require.True(t, f.answer != "differs" || f.how != "", "it does not say how it differs: %s", line)
		out[len(out)-1].features = append(out[len(out)-1].features, f)
	}
	return out
}

func TestTheCompatibilityPageIsWhatTheMatrixSays(t *testing.T) {
	t.Parallel()
	counts := map[string]int{}
	var page strings.Builder
	for _, s := range readMatrix(t) {
		fmt.Fprintf(&page, "\n## %s\n\n| feature | here | how |\n| --- | --- | --- |\n", s.title)
		for _, f := range s.features {
			counts[f.answer]++
			how := f.how
			if how == "" && f.answer == "no" && len(f.fields) > 0 {
				how = "a file that uses it is refused, with the line"
			}
			fmt.Fprintf(&page, "| %s | %s | %s |\n", strings.ReplaceAll(f.name, "|", "\\|"), f.answer, how)
		}
	}
	text := fmt.Sprintf(`# Compatibility with Argo Workflows 4.1

What of Argo's language and tools works here. Every field is parsed and validated; what is
not carried out is refused when a workflow is submitted, or else its row says that it has no
effect, or one in Jobs only, which submitting warns of. The page is written by a test from a table
(`+"`go test ./workflow/spec -run Compatibility -update`"+`), and the test fails when the
engine's list of refused fields says otherwise.

%d features: %d yes, %d differ, %d no.
`, counts["yes"]+counts["differs"]+counts["no"], counts["yes"], counts["differs"], counts["no"]) + page.String()
	if *update {
		require.NoError(t, os.WriteFile(compatibilityPage, []byte(text), 0o644))
	}
	written, err := os.ReadFile(compatibilityPage)
	require.NoError(t, err)
	require.Equal(t, text, string(written), "write it anew: go test ./workflow/spec -run Compatibility -update")
}

func TestTheCompatibilityMatrixAgreesWithWhatIsRefused(t *testing.T) {
	t.Parallel()
	var refused, warned []string
	for at, table := range map[string]fieldTable{"spec": specTable, "template": templateTable, "call": callTable} {
		for _, f := range table.refused {
			refused = append(refused, at+"."+f.name)
		}
		for _, f := range slices.Concat(table.none, table.jobs) {
			warned = append(warned, at+"."+f.name)
		}
	}
	var named []string
	for _, s := range readMatrix(t) {
		for _, f := range s.features {
			named = append(named, f.fields...)
			for _, field := range f.fields {
				missing := slices.Contains(refused, field) || slices.Contains(warned, field)
				switch f.answer {
				case "yes":
					require.False(t, missing, "%s is there, but %s is not", f.name, field)
				default:
					require.True(t, missing, "%s is not all there, because of %s, which is carried out", f.name, field)
				}
			}
		}
	}
	unnamed := slices.DeleteFunc(slices.Concat(refused, warned), func(field string) bool { return slices.Contains(named, field) })
	require.Empty(t, unnamed, "no feature of the matrix names these fields, which are not carried out")
}

// TestTheCompatibilityMatrixHasEveryFeature compares with the list that ARGOSY_FEATURES names.
func TestTheCompatibilityMatrixHasEveryFeature(t *testing.T) {
	t.Parallel()
	var names []string
	for _, s := range readMatrix(t) {
		for _, f := range s.features {
			names = append(names, f.name)
		}
	}
	path := os.Getenv("ARGOSY_FEATURES")
	if path == "" {
		require.Len(t, names, 316)
		return
	}
	list, err := os.ReadFile(path)
	require.NoError(t, err)
	var want []string
	for _, m := range regexp.MustCompile(`(?m)^- (.*?) \| `).FindAllStringSubmatch(string(list), -1) {
		want = append(want, m[1])
	}
	require.Equal(t, want, names)
}
