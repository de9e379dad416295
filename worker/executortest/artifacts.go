package executortest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/worker"
	"argosy/workflow/spec"
)

var none = &spec.ArchiveStrategy{None: &spec.NoneStrategy{}}

// artifactCases are artifacts in and out.
var artifactCases = []testCase{
	{"a raw input is literal", func(t *testing.T, b *bench) {
		s := b.step(t, "cat /tmp/in/deep/raw")
		a := spec.Artifact{Name: "raw", Path: "/tmp/in/deep/raw"}
		a.Raw = &spec.RawArtifact{Data: "literal {{text}}\n"}
		s.Template.Inputs.Artifacts = []spec.Artifact{a}
		b.succeed(t, s)
		require.Equal(t, "literal {{text}}\n", logText(s))
	}},
	{"a packed file comes unpacked", func(t *testing.T, b *bench) {
		b.store.Pack("in.tgz", Tree{"": "hello\n"})
		s := b.step(t, "cat /tmp/in")
		s.Template.Inputs.Artifacts = []spec.Artifact{input("in", "/tmp/in", "in.tgz")}
		b.succeed(t, s)
		require.Equal(t, "hello\n", logText(s))
	}},
	{"a packed directory comes unpacked", func(t *testing.T, b *bench) {
		b.store.Pack("in.tgz", Tree{"a": "1\n", "sub/b": "2\n"})
		s := b.step(t, "cd /tmp/in && cat a sub/b")
		s.Template.Inputs.Artifacts = []spec.Artifact{input("in", "/tmp/in", "in.tgz")}
		b.succeed(t, s)
		require.Equal(t, "1\n2\n", logText(s))
	}},
	{"a plain file comes as it is", func(t *testing.T, b *bench) {
		b.store.Set("plain", "as it is\n")
		s := b.step(t, "cat /tmp/in")
		s.Template.Inputs.Artifacts = []spec.Artifact{input("in", "/tmp/in", "plain")}
		b.succeed(t, s)
		require.Equal(t, "as it is\n", logText(s))
	}},
	{"a directory of plain files comes as it is", func(t *testing.T, b *bench) {
		b.store.Set("dir/a", "1\n")
		b.store.Set("dir/sub/b", "2\n")
		s := b.step(t, "cd /tmp/in && cat a sub/b")
		a := input("in", "/tmp/in", "dir")
		a.Archive = none
		s.Template.Inputs.Artifacts = []spec.Artifact{a}
		b.succeed(t, s)
		require.Equal(t, "1\n2\n", logText(s))
	}},
	{"an input has the mode that it asks for", func(t *testing.T, b *bench) {
		b.store.Set("tool", "#!/bin/sh\necho ran\n")
		s := b.step(t, "/tmp/tool")
		a := input("tool", "/tmp/tool", "tool")
		mode := int32(0o755)
		a.Mode = &mode
		s.Template.Inputs.Artifacts = []spec.Artifact{a}
		b.succeed(t, s)
		require.Equal(t, "ran\n", logText(s))
	}},
	{"an optional input may be missing", func(t *testing.T, b *bench) {
		s := b.step(t, "test ! -e /tmp/unset && test ! -e /tmp/gone")
		gone, unset := input("gone", "/tmp/gone", "no-such-key"), spec.Artifact{Name: "unset", Path: "/tmp/unset", Optional: true}
		gone.Optional = true
		s.Template.Inputs.Artifacts = []spec.Artifact{gone, unset}
		b.succeed(t, s)
	}},
	{"a required input that is not supplied is an error", func(t *testing.T, b *bench) {
		s := b.step(t, "echo started")
		s.Template.Inputs.Artifacts = []spec.Artifact{{Name: "in", Path: "/tmp/in"}}
		b.fault(t, s, worker.ClassInput, "required artifact 'in' not supplied")
		require.Empty(t, logText(s))
	}},
	{"a required input that is not in the store is an error", func(t *testing.T, b *bench) {
		s := b.step(t, "echo started")
		s.Template.Inputs.Artifacts = []spec.Artifact{input("in", "/tmp/in", "no-such-key")}
		b.fault(t, s, worker.ClassInput, "artifact in failed to load")
		require.Empty(t, logText(s))
	}},
	{"a file is kept packed", func(t *testing.T, b *bench) {
		s := b.step(t, "echo made > /tmp/out.txt")
		s.Template.Outputs.Artifacts = []spec.Artifact{output("out", "/tmp/out.txt", nil)}
		requireKept(t, s, b)
		require.Equal(t, Tree{"": "made\n"}, b.store.Unpack(t, "kept/out"))
	}},
	{"a directory is kept packed", func(t *testing.T, b *bench) {
		s := b.step(t, "mkdir -p /tmp/out/sub && echo 1 > /tmp/out/a && echo 2 > /tmp/out/sub/b")
		s.Template.Outputs.Artifacts = []spec.Artifact{output("out", "/tmp/out", nil)}
		requireKept(t, s, b)
		require.Equal(t, Tree{"a": "1\n", "sub/b": "2\n"}, b.store.Unpack(t, "kept/out"))
	}},
	{"a file is kept as it is", func(t *testing.T, b *bench) {
		s := b.step(t, "echo made > /tmp/out.txt")
		s.Template.Outputs.Artifacts = []spec.Artifact{output("out", "/tmp/out.txt", none)}
		requireKept(t, s, b)
		require.Equal(t, Tree{"kept/out": "made\n"}, b.store.Objects())
	}},
	{"a directory is kept as it is", func(t *testing.T, b *bench) {
		s := b.step(t, "mkdir -p /tmp/out/sub && echo 1 > /tmp/out/a && echo 2 > /tmp/out/sub/b")
		s.Template.Outputs.Artifacts = []spec.Artifact{output("out", "/tmp/out", none)}
		requireKept(t, s, b)
		require.Equal(t, Tree{"kept/out/a": "1\n", "kept/out/sub/b": "2\n"}, b.store.Objects())
	}},
	{"an optional output may be missing", func(t *testing.T, b *bench) {
		s := b.step(t, "true")
		a := output("out", "/tmp/missing", nil)
		a.Optional = true
		s.Template.Outputs.Artifacts = []spec.Artifact{a}
		require.Empty(t, b.succeed(t, s).Outputs.Artifacts)
	}},
	{"a required output that is missing is an error", func(t *testing.T, b *bench) {
		s := b.step(t, "true")
		s.Template.Outputs.Artifacts = []spec.Artifact{output("out", "/tmp/missing", nil)}
		b.fault(t, s, worker.ClassOutput, "open /tmp/missing: no such file or directory")
	}},
	{"a failed step keeps the artifacts that it wrote", func(t *testing.T, b *bench) {
		s := b.step(t, "echo made > /tmp/out.txt; exit 1")
		s.Template.Outputs.Artifacts = []spec.Artifact{output("out", "/tmp/out.txt", none), output("more", "/tmp/missing", none)}
		r := b.fail(t, s, 1, "main: Error (exit code 1)")
		require.Len(t, r.Outputs.Artifacts, 1)
		require.Equal(t, Tree{"kept/out": "made\n"}, b.store.Objects())
	}},
	{"an input may be passed on as an output", func(t *testing.T, b *bench) {
		b.store.Pack("in.tgz", Tree{"a": "1\n"})
		s := b.step(t, "echo 2 > /tmp/dir/b")
		s.Template.Inputs.Artifacts = []spec.Artifact{input("in", "/tmp/dir", "in.tgz")}
		s.Template.Outputs.Artifacts = []spec.Artifact{output("out", "/tmp/dir", nil)}
		requireKept(t, s, b)
		require.Equal(t, Tree{"a": "1\n", "b": "2\n"}, b.store.Unpack(t, "kept/out"))
	}},
	{"parameters and artifacts and result together", func(t *testing.T, b *bench) {
		b.store.Set("in", "abc")
		s := b.step(t, "cat /tmp/in; wc -c < /tmp/in | tr -d ' ' > /tmp/count; cp /tmp/in /tmp/copy")
		s.CaptureResult = true
		s.Template.Inputs.Artifacts = []spec.Artifact{input("in", "/tmp/in", "in")}
		s.Template.Outputs.Parameters = []spec.Parameter{parameter("count", "/tmp/count")}
		s.Template.Outputs.Artifacts = []spec.Artifact{output("copy", "/tmp/copy", none)}
		r := b.succeed(t, s)
		count, _ := r.Outputs.Parameter("count")
		require.Equal(t, "3", count)
		require.Equal(t, "abc", *r.Outputs.Result)
		require.Equal(t, "abc", b.store.Objects()["kept/copy"])
	}},
}

func input(name, path, key string) spec.Artifact {
	a := spec.Artifact{Name: name, Path: path}
	a.S3 = &spec.S3Artifact{Key: key}
	return a
}

func output(name, path string, archive *spec.ArchiveStrategy) spec.Artifact {
	a := input(name, path, "kept/"+name)
	a.Archive = archive
	return a
}

// requireKept runs the step, which must succeed and refer to its one output artifact.
func requireKept(t *testing.T, s *worker.Step, b *bench) {
	t.Helper()
	r := b.succeed(t, s)
	require.Len(t, r.Outputs.Artifacts, 1)
	want := &s.Template.Outputs.Artifacts[0]
	require.Equal(t, want.Name, r.Outputs.Artifacts[0].Name)
	require.NotNil(t, r.Outputs.Artifacts[0].S3)
	require.Equal(t, want.S3.Key, r.Outputs.Artifacts[0].S3.Key)
}
