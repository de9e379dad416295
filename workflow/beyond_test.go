package workflow_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/workflow"
)

func TestItemsFromANumberOnAreBeyond(t *testing.T) {
	t.Parallel()
	loop := workflow.Root.Step(0, "many")
	for key, want := range map[workflow.Key]bool{
		workflow.Root:                          false,
		loop:                                   false,
		loop.Child("(9:x)"):                    false,
		loop.Child("(10:x)"):                   true,
		loop.Child("(10:x)").Attempt(0):        true,
		loop.Child("(3:x)").Attempt(11):        false, // an attempt is no item
		loop.Child("(3:(10:x)"):                false,
		loop.Child("(3:a/b)").Task("(11:t"):    false,
		loop.Child("(12:x)").Task("t"):         true,
		loop.Child("(1:x)").Child("(400:y:z)"): true,
		loop.Child("#c400"):                    false,
	} {
		require.Equal(t, want, key.Beyond(10), "%s", key)
	}
}
