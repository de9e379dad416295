package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// hops are the stations of a task's life, in order.
var hops = []string{"submit", "validate", "advance", "commit", "dispatch", "scale", "execute", "store", "report"}

// hopRow is a row of README's table: | submit | `server/submit.go: Service.Submit` | ... |
var hopRow = regexp.MustCompile("(?m)^\\|\\s*\\**`?(\\w+)`?\\**\\s*\\|.*?`([\\w./-]+\\.go): ([\\w.]+)`")

func TestREADMELeadsToWhereEachHopHappens(t *testing.T) {
	t.Parallel()
	body, err := os.ReadFile(filepath.Join(root, "README.md"))
	require.NoError(t, err)
	var named []string
	for _, row := range hopRow.FindAllStringSubmatch(string(body), -1) {
		named = append(named, row[1])
		require.Contains(t, functions(t, row[2]), row[3], "README says that %s has %s", row[2], row[3])
	}
	require.Equal(t, hops, named)
}

// functions names the functions of a file, methods as Type.Method.
func functions(t *testing.T, path string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, path), nil, 0)
	require.NoError(t, err)
	var names []string
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		name := f.Name.Name
		if f.Recv != nil {
			receiver := f.Recv.List[0].Type
			if pointer, ok := receiver.(*ast.StarExpr); ok {
				receiver = pointer.X
			}
			if generic, ok := receiver.(*ast.IndexExpr); ok {
				receiver = generic.X
			}
			name = receiver.(*ast.Ident).Name + "." + name
		}
		names = append(names, name)
	}
	return names
}

func TestMakeHelpListsEveryTarget(t *testing.T) {
	t.Parallel()
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	require.NoError(t, err)
	cmd := exec.Command("make", "-s", "help")
	cmd.Dir = root
	help, err := cmd.Output()
	require.NoError(t, err)
	targets := regexp.MustCompile(`(?m)^([a-z][a-z-]*):`).FindAllStringSubmatch(string(makefile), -1)
	require.NotEmpty(t, targets)
	for _, target := range targets {
		require.Regexp(t, `(?m)^\s+`+target[1]+`\s+\S`, string(help))
	}
	require.Len(t, targets, strings.Count(string(help), "\n"))
}

// mention is a path of this tree in a document, in backquotes or as a link.
var mention = regexp.MustCompile("`([a-z][\\w-]*/[\\w./-]*)`|\\]\\(([a-z][\\w./-]*)\\)")

func TestDocumentsNameFilesThatExist(t *testing.T) {
	t.Parallel()
	documents := []string{"README.md", "CONTRIBUTING.md"}
	for _, pattern := range []string{"docs/*.md", "docs/adr/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		require.NoError(t, err)
		for _, path := range found {
			rel, err := filepath.Rel(root, path)
			require.NoError(t, err)
			documents = append(documents, rel)
		}
	}
	tops, err := os.ReadDir(root)
	require.NoError(t, err)
	top := map[string]bool{}
	for _, entry := range tops {
		top[entry.Name()] = entry.Name() != "bin" && entry.Name() != "dist"
	}
	for _, document := range documents {
		body, err := os.ReadFile(filepath.Join(root, document))
		require.NoError(t, err)
		for _, m := range mention.FindAllStringSubmatch(string(body), -1) {
			path, from := m[1], root
			if path == "" {
				path, from = m[2], filepath.Join(root, filepath.Dir(document))
			} else if first, _, _ := strings.Cut(path, "/"); !top[first] {
				continue // something else with a slash in it
			}
			_, err := os.Stat(filepath.Join(from, path))
			require.NoError(t, err, "%s names %s", document, path)
		}
	}
}

func TestEachRowOfTheSecurityPageIsAttackedByATest(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(root, "docs", "security.md"))
	require.NoError(t, err)
	all, err := list()
	require.NoError(t, err)
	there := map[string]bool{}
	for _, p := range all {
		for _, file := range slices.Concat(p.TestGoFiles, p.XTestGoFiles) {
			for _, name := range functions(t, filepath.Join(p.rel(), file)) {
				there[name] = true
			}
		}
	}
	rows := 0
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		last := cells[len(cells)-1]
		if len(cells) == 1 || strings.Contains(last, "attacked by") || strings.Contains(last, "---") {
			continue
		}
		rows++
		tests := regexp.MustCompile("`(Test[A-Za-z]+)`").FindAllStringSubmatch(last, -1)
		require.NotEmpty(t, tests, "the row of %s names no test", cells[0])
		for _, test := range tests {
			require.True(t, there[test[1]], "there is no %s", test[1])
		}
	}
	require.Greater(t, rows, 20)
}
