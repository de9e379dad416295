package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

const events = `{"Action":"start","Package":"p"}
{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestB","Output":"=== RUN   TestB\n"}
{"Action":"output","Package":"p","Test":"TestB","Output":"    b_test.go:9: there is no floppy drive\n"}
{"Action":"output","Package":"p","Test":"TestB","Output":"--- SKIP: TestB (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"TestB"}
{"Action":"pass","Package":"p"}
{"Action":"skip","Package":"without-tests"}
`

func summary(t *testing.T, body string, flags ...string) (bool, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "events.json")
	require.NoError(t, os.WriteFile(path, []byte(body), 0o644))
	var out bytes.Buffer
	ok, err := run(append(flags, "unit="+path), &out)
	require.NoError(t, err)
	return ok, out.String()
}

func TestSkipsAreListedWithTheirReasons(t *testing.T) {
	t.Parallel()
	ok, said := summary(t, events)
	require.True(t, ok)
	require.Contains(t, said, "unit: p TestB: b_test.go:9: there is no floppy drive\n")
	require.Contains(t, said, "\n1 passed, 0 failed, 1 skipped\n")
	require.NotContains(t, said, "without-tests")
}

func TestWhateverFailsIsCountedOnce(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		events string
		flags  []string
		want   []string
	}{
		"a test": {
			events: events + `{"Action":"fail","Package":"q","Test":"TestC"}` + "\n" + `{"Action":"fail","Package":"q"}` + "\n",
			want:   []string{"unit: q TestC\n", "1 passed, 1 failed, 1 skipped"},
		},
		"a package that does not build": {
			events: events + `{"ImportPath":"q","Action":"build-fail"}` + "\n" + `{"Action":"fail","Package":"q","FailedBuild":"q"}` + "\n",
			want:   []string{"unit: q (the package)\n", "1 passed, 1 failed, 1 skipped"},
		},
		"a step": {
			events: events,
			flags:  []string{"-failed", "vet"},
			want:   []string{"vet", "1 passed, 1 failed, 1 skipped"},
		},
		"a part without tests": {
			events: "",
			want:   []string{"NOT RUN", "unit: no test ran", "0 passed, 1 failed, 0 skipped"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ok, said := summary(t, test.events, test.flags...)
			require.False(t, ok)
			for _, want := range test.want {
				require.Contains(t, said, want)
			}
		})
	}
}

func TestAMissingFileIsAPartThatDidNotRun(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	ok, err := run([]string{"cluster=" + filepath.Join(t.TempDir(), "nothing")}, &out)
	require.NoError(t, err)
	require.False(t, ok)
	require.Contains(t, out.String(), "cluster: no test ran")
}
