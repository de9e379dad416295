package git_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"argosy/artifacts/git"
)

// repositories serves bare repositories over HTTP, for whoever knows the password.
type repositories struct {
	url    string
	dir    string
	commit map[string]string // by branch
}

func serve(t *testing.T) *repositories {
	t.Helper()
	r := &repositories{dir: t.TempDir(), commit: map[string]string{}}
	work := t.TempDir()
	sh(t, work, `
git init -q -b main
git config user.email a@example.com; git config user.name A
echo one > file; git add file; git commit -qm one; git tag v1
echo two > file; git commit -qam two
git checkout -q -b side; echo side > file; git commit -qam side
git checkout -q main
git update-ref refs/meta/notes side
git init -q --bare -b main `+r.dir+`/app.git
git push -q `+r.dir+`/app.git main side v1 refs/meta/notes
`)
	for _, rev := range []string{"main", "side", "v1"} {
		r.commit[rev] = strings.TrimSpace(sh(t, work, "git rev-parse "+rev))
	}
	exec := strings.TrimSpace(sh(t, work, "git --exec-path"))
	backend := &cgi.Handler{
		Path: filepath.Join(exec, "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + r.dir, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if path, private := strings.CutPrefix(q.URL.Path, "/private"); private {
			if user, password, _ := q.BasicAuth(); user != "me" || password != "secret" {
				w.Header().Set("WWW-Authenticate", "Basic")
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			q.URL.Path = path
		}
		backend.ServeHTTP(w, q)
	}))
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

func sh(t *testing.T, dir, script string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-ec", script)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	return string(out)
}

func anywhere(ctx context.Context, network, address string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, network, address)
}

func nowhere(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("not to be reached")
}

func TestACheckoutIsOfTheRevisionThatWasAskedFor(t *testing.T) {
	t.Parallel()
	r := serve(t)
	for name, tt := range map[string]struct {
		of      git.Repository
		file    string
		branch  string
		message string
	}{
		"the default branch": {file: "two", branch: "main"},
		"a branch":           {of: git.Repository{Revision: "side"}, file: "side", branch: "side"},
		"the branch it has":  {of: git.Repository{Revision: "main"}, file: "two", branch: "main"},
		"a tag":              {of: git.Repository{Revision: "v1"}, file: "one"},
		"a commit":           {of: git.Repository{Revision: r.commit["v1"]}, file: "one"},
		"a short commit":     {of: git.Repository{Revision: r.commit["side"][:8]}, file: "side"},
		"relative":           {of: git.Repository{Revision: "HEAD~1"}, file: "one"},
		"one branch, one deep": {
			of: git.Repository{SingleBranch: true, Branch: "side", Depth: 1}, file: "side", branch: "side",
		},
		"what is fetched besides": {
			of: git.Repository{Fetch: []string{"refs/meta/*:refs/remotes/origin/meta/*"}, Revision: "meta/notes"}, file: "side", branch: "meta/notes",
		},
		"with a password":         {of: git.Repository{URL: "/private/app.git", User: "me", Password: "secret"}, file: "two", branch: "main"},
		"with a wrong password":   {of: git.Repository{URL: "/private/app.git", User: "me", Password: "guess"}, message: "authentication required"},
		"an unknown revision":     {of: git.Repository{Revision: "none"}, message: `revision "none" is not in the repository`},
		"an unknown repository":   {of: git.Repository{URL: "/none.git"}, message: "repository not found"},
		"a branch without a name": {of: git.Repository{SingleBranch: true}, message: "singleBranch needs a branch"},
		"this machine's files":    {of: git.Repository{URL: "file://" + r.dir + "/app.git"}, message: "file is not supported"},
		"a path":                  {of: git.Repository{URL: r.dir + "/app.git"}, message: "file is not supported"},
		"the git protocol":        {of: git.Repository{URL: "git://127.0.0.1/app.git"}, message: "git is not supported"},
		"a place out of bounds":   {of: git.Repository{Dial: nowhere}, message: "not to be reached"},
		"ssh without a key":       {of: git.Repository{URL: "git@127.0.0.1:app.git"}, message: "ssh needs a sshPrivateKeySecret"},
		"ssh with a broken key":   {of: git.Repository{URL: "git@127.0.0.1:app.git", PrivateKey: []byte("key")}, message: "reading the private key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tt.of.URL == "" {
				tt.of.URL = "/app.git"
			}
			if strings.HasSuffix(tt.of.URL, ".git") && strings.HasPrefix(tt.of.URL, "/") && !strings.HasPrefix(tt.of.URL, r.dir) {
				tt.of.URL = r.url + tt.of.URL
			}
			if tt.of.Dial == nil {
				tt.of.Dial = anywhere
			}
			dir := t.TempDir()
			err := git.Checkout(t.Context(), &tt.of, dir)
			if tt.message != "" {
				require.ErrorContains(t, err, tt.message)
				return
			}
			require.NoError(t, err)
			got, err := os.ReadFile(filepath.Join(dir, "file"))
			require.NoError(t, err)
			require.Equal(t, tt.file+"\n", string(got))
			if tt.branch != "" {
				require.Equal(t, tt.branch, strings.TrimSpace(sh(t, dir, "git rev-parse --abbrev-ref HEAD")))
			}
			require.Empty(t, sh(t, dir, "git status --porcelain"))
		})
	}
}

func TestSubmodulesAreFetchedFromElsewhereOnly(t *testing.T) {
	t.Parallel()
	r := serve(t)
	for name, tt := range map[string]struct{ url, message string }{
		"relative": {url: "../app.git"},
		"http":     {url: r.url + "/app.git"},
		"a file":   {url: "file://" + r.dir + "/app.git", message: "is neither https nor http"},
		"a path":   {url: r.dir + "/app.git", message: "is neither https nor http"},
		"ssh":      {url: "git@10.0.0.1:app.git", message: "is neither https nor http"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			work, outer := t.TempDir(), strings.ReplaceAll(name, " ", "-")+".git"
			sh(t, work, fmt.Sprintf(`
git init -q -b main
git config user.email a@example.com; git config user.name A
printf '[submodule "part"]\n\tpath = part\n\turl = %s\n' > .gitmodules
git add .gitmodules
git update-index --add --cacheinfo 160000,%s,part
git commit -qm outer
git init -q --bare -b main %s/%s
git push -q %s/%s main
`, tt.url, r.commit["v1"], r.dir, outer, r.dir, outer))
			of := &git.Repository{URL: r.url + "/" + outer, Dial: anywhere}
			dir := t.TempDir()
			err := git.Checkout(t.Context(), of, dir)
			if tt.message != "" {
				require.ErrorContains(t, err, tt.message)
				require.NoFileExists(t, filepath.Join(dir, "part", "file"))
			} else {
				require.NoError(t, err)
				got, err := os.ReadFile(filepath.Join(dir, "part", "file"))
				require.NoError(t, err)
				require.Equal(t, "one\n", string(got))
			}
			of.NoSubmodules = true
			require.NoError(t, git.Checkout(t.Context(), of, t.TempDir()))
		})
	}
}
