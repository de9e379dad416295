package workflow_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/workflow"
)

func TestSpecsThatCouldNotEndAreRefused(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`
  - name: main
    dag:
      tasks:
      - {name: a, template: echo, depends: b}
      - {name: b, template: echo, depends: a}
      - {name: c, template: echo}
`: `compiling template "main": task "a" waits for itself, directly or through others`,
		`
  - name: main
    dag:
      tasks:
      - {name: a, template: echo, depends: a}
`: `compiling template "main": task "a" waits for itself, directly or through others`,
		`
  - name: main
    dag:
      tasks:
      - {name: a, template: echo}
      - {name: a, template: echo}
`: `compiling template "main": there are two tasks "a"`,
		`
  - name: main
    steps:
    - - {name: a, template: echo}
      - {name: a, template: echo}
`: `compiling template "main": there are two steps "a"`,
		`
  - name: main
    dag:
      tasks:
      - {name: a, template: echo, depends: b}
`: `compiling template "main": task "a" depends on "b", which is not a task`,
	} {
		_, err := workflow.Compile(parse(t, head+body))
		require.EqualError(t, err, want)
	}
}
