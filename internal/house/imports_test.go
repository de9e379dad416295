package house

import (
	"go/ast"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// mayImport says, for the folders of the product, which other folders of ours they and what
// is below them may import. Each may import its own. Packages of tests only are free.
var mayImport = map[string][]string{
	"workflow/expr":    {},
	"workflow/depends": {},
	"workflow/spec":    {"workflow/depends", "workflow/expr"},
	"workflow":         {"workflow"},
	"artifacts":        {},
	"archive":          {},
	"autoscale":        {},
	"queue":            {"workflow"},
	"coordinator":      {"workflow"},
	"server":           {"workflow"},
	"worker":           {"workflow"},
	"tracing":          {"workflow"},
	"worker/handover":  {},
	"cmd/argosy-step":  {"worker/handover", "artifacts/archive"},
	// cmd/argosy joins all of them; deploy and loadtest stand outside.
}

// onlyIn names the folders that alone may import a library.
var onlyIn = map[string][]string{
	"github.com/redis/go-redis":      {"queue"},
	"github.com/alicebob/miniredis":  {"queue"},
	"github.com/hibiken/asynq":       {"queue", "loadtest"}, // loadtest measures asynq alone as its peer
	"github.com/minio/minio-go":      {"artifacts"},
	"google.golang.org/grpc":         {"artifacts/plugin", "artifacts/artifactstest"},
	"go.opentelemetry.io/otel":       {"tracing"},
	"github.com/klauspost/compress":  {"archive"},
	"k8s.io/client-go":               {"worker/kube", "autoscale", "cmd/argosy", "deploy", "loadtest"},
	"github.com/spf13/cobra":         {"cmd/argosy"},
	"github.com/stretchr/testify":    nil, // tests and suites, see below
	"github.com/expr-lang/expr":      {"workflow/expr"},
	"github.com/google/go-container": {"deploy/image", "examples/ci-pipeline/builder"},
}

func TestFoldersImportOnlyWhatTheyMay(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		top, allowed := rule(p.rel())
		if top == "" {
			continue
		}
		for _, path := range p.Imports {
			folder, yes := ours(path)
			if !yes || within(folder, top) {
				continue
			}
			require.True(t, within(folder, allowed...), "%s may not import %s", p.ImportPath, path)
		}
	}
}

// rule finds the rule for the nearest folder above.
func rule(folder string) (top string, allowed []string) {
	for f, a := range mayImport {
		if within(folder, f) && len(f) > len(top) {
			top, allowed = f, a
		}
	}
	return top, allowed
}

func TestLibrariesHaveOneImporter(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		for library, folders := range onlyIn {
			imports := slices.Concat(p.Imports, p.TestImports, p.XTestImports)
			if folders == nil { // no product code
				if imports = p.Imports; strings.HasSuffix(p.Name, "test") {
					continue
				}
			}
			for _, path := range imports {
				if strings.HasPrefix(path, library) {
					require.True(t, within(p.rel(), folders...), "%s may not import %s", p.ImportPath, path)
				}
			}
		}
	}
}

func TestStepRunnerNeedsTheStandardLibraryAlone(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		if !within(p.rel(), "cmd/argosy-step", "worker/handover", "artifacts/archive") {
			continue
		}
		for _, path := range p.Imports {
			first, _, _ := strings.Cut(path, "/")
			require.False(t, strings.Contains(first, "."), "%s imports %s", p.ImportPath, path)
		}
	}
}

func TestTheCoreIsPure(t *testing.T) {
	t.Parallel()
	barred := []string{"os", "io/ioutil", "net", "log", "math/rand", "crypto/rand", "context", "sync", "syscall", "unsafe", "runtime"}
	harmless := []string{"net/url", "net/netip"}
	clock := []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}
	for _, p := range packages(t) {
		if !within(p.rel(), "workflow") {
			continue
		}
		for _, path := range p.Imports {
			require.False(t, within(path, barred...) && !slices.Contains(harmless, path), "%s imports %s", p.ImportPath, path)
		}
		set, files := p.parse(t)
		for _, file := range files {
			ast.Inspect(file, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.GoStmt:
					t.Errorf("%s: the core starts a goroutine", set.Position(n.Pos()))
				case *ast.SelectorExpr:
					if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains(clock, n.Sel.Name) {
						t.Errorf("%s: the core reads the clock", set.Position(n.Pos()))
					}
				}
				return true
			})
		}
	}
}

func TestNamesOfPackagesSayWhatTheyHold(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		for _, part := range strings.Split(p.rel(), "/") {
			require.NotContains(t, []string{"util", "utils", "common", "types", "helpers", "misc", "pkg", "lib", "base"}, part, p.ImportPath)
		}
	}
}
