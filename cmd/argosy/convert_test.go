package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestConvertReplacesWhatArgo4HasNoMore(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ kind, spec, want string }{
		"a schedule": {
			"CronWorkflow", "schedule: '* * * * *' # often\nworkflowSpec:\n  synchronization:\n    mutex: {name: m}\n",
			"schedules:\n- '* * * * *' # often\nworkflowSpec:\n  synchronization:\n    mutexes:\n    - {name: m}\n",
		},
		"a schedule wins over schedules": {"CronWorkflow", "schedules: [a]\nschedule: b\n", "schedules: [b]\n"},
		"the locks of a workflow": {
			"Workflow", "synchronization:\n  mutexes: [{name: a}]\n  mutex: {name: b}\n  semaphore: {configMapKeyRef: {name: c, key: d}}\n",
			"synchronization:\n  mutexes: [{name: a}, {name: b}]\n  semaphores:\n  - {configMapKeyRef: {name: c, key: d}}\n",
		},
		"the locks of templates, also inline": {
			"WorkflowTemplate", "templates:\n- name: t\n  synchronization: {mutex: {name: a}}\n- name: s\n  steps:\n  - - name: one\n      inline: {synchronization: {mutex: {name: b}}}\n",
			"templates:\n- name: t\n  synchronization: {mutexes: [{name: a}]}\n- name: s\n  steps:\n  - - name: one\n      inline: {synchronization: {mutexes: [{name: b}]}}\n",
		},
		"what is new already":  {"ClusterWorkflowTemplate", "entrypoint: main # here\n", "entrypoint: main # here\n"},
		"what is nobody's own": {"ConfigMap", "schedule: a\n", "schedule: a\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			doc := func(body string) string {
				return "kind: " + c.kind + "\nspec:\n  " + strings.ReplaceAll(strings.TrimSpace(body), "\n", "\n  ") + "\n"
			}
			cli := &commandLine{t: t, stdin: doc(c.spec)}
			out, errs, code := cli.run("convert", "-")
			require.Zero(t, code, errs)
			require.YAMLEq(t, doc(c.want), strings.TrimPrefix(out, "---\n"))
			require.Equal(t, strings.Count(c.want, "#"), strings.Count(out, "#"), "comments stay")
		})
	}
}
