package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/cmd/argosy/internal/tree"
	"argosy/workflow/spec"
)

func TestGetShowsWhatARunHadOfResources(t *testing.T) {
	t.Parallel()
	for want, has := range map[string]spec.ResourcesDuration{
		"ResourcesDuration:   4s*(1 cpu),41s*(100Mi memory)\n": {"memory": 41, "cpu": 4},
		"ServiceAccount:      unset\n":                         nil,
	} {
		var out bytes.Buffer
		printRun(&out, &spec.Workflow{Status: spec.WorkflowStatus{ResourcesDuration: has}}, tree.Options{})
		require.Contains(t, out.String(), want)
		require.Equal(t, has != nil, bytes.Contains(out.Bytes(), []byte("ResourcesDuration")))
	}
}
