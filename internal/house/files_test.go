package house

import (
	"bytes"
	"go/ast"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// longest is how many lines a file may have. A file near it does more than one thing.
const longest = 450

func TestEveryPackageHasOneDocComment(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		if len(p.GoFiles) == 0 {
			continue // tests only
		}
		var with []string
		_, files := p.parse(t)
		for name, file := range files {
			if file.Doc != nil {
				with = append(with, name)
				start := "Package " + p.Name + " "
				if p.Name == "main" {
					start = "Command " + filepath.Base(p.Dir)
				}
				require.True(t, strings.HasPrefix(file.Doc.Text(), start), "%s/%s: the comment begins with %q", p.ImportPath, name, start)
			}
		}
		require.Len(t, with, 1, "%s has its doc comment in %v", p.ImportPath, with)
	}
}

func TestNoFileIsTooLong(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		for _, name := range p.GoFiles {
			body, err := os.ReadFile(filepath.Join(p.Dir, name))
			require.NoError(t, err)
			if generated(body) {
				continue
			}
			require.LessOrEqual(t, bytes.Count(body, []byte("\n")), longest, "%s/%s", p.ImportPath, name)
		}
	}
}

// generated says that a tool wrote the file, as Go's tools know it.
func generated(body []byte) bool {
	for line := range bytes.Lines(body) {
		line = bytes.TrimSpace(line)
		if bytes.HasPrefix(line, []byte("// Code generated ")) && bytes.HasSuffix(line, []byte(" DO NOT EDIT.")) {
			return true
		}
	}
	return false
}

func TestNothingHappensBeforeMain(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		set, files := p.parse(t)
		for _, file := range files {
			if ast.IsGenerated(file) {
				continue
			}
			for _, d := range file.Decls {
				if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
					t.Errorf("%s: an init function", set.Position(f.Pos()))
				}
			}
		}
	}
}
