package server

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFieldsTrimAnAnswer(t *testing.T) {
	t.Parallel()
	answer := map[string]any{
		"metadata": map[string]any{"continue": "7"},
		"items": []any{
			map[string]any{
				"metadata": map[string]any{"name": "a", "uid": "u"},
				"spec":     map[string]any{"priority": int64(9007199254740993)},
				"status":   map[string]any{"phase": "Running", "nodes": map[string]any{"x": 1}},
			},
		},
	}
	for _, tt := range []struct{ name, fields, want string }{
		{"none keeps all", "", `{"metadata":{"continue":"7"},"items":[{"metadata":{"name":"a","uid":"u"},"spec":{"priority":9007199254740993},"status":{"phase":"Running","nodes":{"x":1}}}]}`},
		{"a list keeps these only", "items.metadata.name,items.status.phase", `{"items":[{"metadata":{"name":"a"},"status":{"phase":"Running"}}]}`},
		{"a parent keeps what is below it", "metadata,items.spec", `{"metadata":{"continue":"7"},"items":[{"spec":{"priority":9007199254740993}}]}`},
		{"a minus drops these", "-items.status.nodes,items.spec,metadata", `{"items":[{"metadata":{"name":"a","uid":"u"},"status":{"phase":"Running"}}]}`},
		{"an unknown path matches nothing", "nope", `{}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := parseFields(tt.fields).encode(answer)
			require.NoError(t, err)
			require.JSONEq(t, tt.want, string(got))
			require.NotContains(t, string(got), "e+15")
		})
	}
}

func TestFieldsTellWhatNeedNotBeMade(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		fields string
		want   bool
	}{
		{"", true},
		{"items.status", true},
		{"items.status.nodes.x", true},
		{"items.status.phase", false},
		{"metadata", false},
		{"-items.status.nodes", false},
		{"-items.status", false},
		{"-items.status.nodes.x", true},
		{"-items.spec", true},
	} {
		require.Equal(t, tt.want, parseFields(tt.fields).wants("items", "status", "nodes"), "fields=%s", tt.fields)
	}
}
