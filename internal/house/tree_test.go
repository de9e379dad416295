package house

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	root   = "../.."
	module = "argosy"
)

// pkg is a package of this module, as `go list` tells of it.
type pkg struct {
	Dir, ImportPath, Name              string
	GoFiles, TestGoFiles, XTestGoFiles []string
	Imports, TestImports, XTestImports []string
}

// rel is the package's folder within the module; the root's is empty.
func (p pkg) rel() string { return strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/") }

// within says whether a folder is one of those or below one.
func within(folder string, tops ...string) bool {
	for _, top := range tops {
		if folder == top || strings.HasPrefix(folder, top+"/") {
			return true
		}
	}
	return false
}

// ours gives the folder of an import if it is of this module.
func ours(path string) (folder string, yes bool) {
	if path == module {
		return "", true
	}
	return strings.CutPrefix(path, module+"/")
}

// list asks go for all packages, tests on a cluster included, once.
var list = sync.OnceValues(func() ([]pkg, error) {
	cmd := exec.Command("go", "list", "-json", "-tags", "cluster", "./...")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	var all []pkg
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
})

func packages(t *testing.T) []pkg {
	t.Helper()
	all, err := list()
	require.NoError(t, err)
	require.NotEmpty(t, all)
	return all
}

// parse reads the package's files that are no tests.
func (p pkg) parse(t *testing.T) (*token.FileSet, map[string]*ast.File) {
	t.Helper()
	set := token.NewFileSet()
	files := map[string]*ast.File{}
	for _, name := range p.GoFiles {
		file, err := parser.ParseFile(set, filepath.Join(p.Dir, name), nil, parser.ParseComments)
		require.NoError(t, err)
		files[name] = file
	}
	return set, files
}
