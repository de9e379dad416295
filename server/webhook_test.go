package server

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const webhookClients = `{"secret":{"metadata":{"name":"argo-workflows-webhook-clients"},"stringData":{
	"github.com":"type: github\nsecret: sh!","gitlab.com":"type: gitlab\nsecret: lab!",
	"bitbucket.org":"{type: bitbucket, secret: uuid!}","bitbucketserver":"type: bitbucketserver\nsecret: own!"}}}`

// signature is that of a body with a secret.
func signature(secret, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// hooked is a server that knows webhook clients in namespace default, and submits for each event there.
func hooked(t *testing.T) *bench {
	t.Helper()
	b := newBench(t, "secret")
	const template = `{"template":{"metadata":{"name":"t"},"spec":{"entrypoint":"main","templates":[{"name":"main","container":{"image":"i"}}]}}}`
	require.Equal(t, http.StatusOK, b.as(t, "secret", "POST", "/api/v1/workflow-templates/default", template, nil))
	submits := binding("b", "true", `{"workflowTemplateRef":{"name":"t"},"metadata":{"annotations":{"heard":"toJSON(metadata)"}}}`)
	require.Equal(t, http.StatusOK, b.as(t, "secret", "POST", bindings, submits, nil))
	return b
}

// made are the runs that there are.
func (b *bench) made() (all []*Record) {
	for _, r := range b.store.runs {
		all = append(all, r)
	}
	return all
}

func TestSignedEventsNeedNoToken(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		headers []string
		client  string // "": it is refused
	}{
		// Computed elsewhere: openssl dgst -sha256 -hmac 'sh!'.
		"github":                              {[]string{"X-GitHub-Event", "push", "X-Hub-Signature-256", "sha256=926ceeb8dcd67d5979fd7d726e3905af6d220f7fd6b2d8cce946906f7cf35963"}, "github.com"},
		"gitlab":                              {[]string{"X-Gitlab-Event", "Push Hook", "X-Gitlab-Token", "lab!"}, "gitlab.com"},
		"bitbucket":                           {[]string{"X-Event-Key", "repo:push", "X-Hook-UUID", "uuid!"}, "bitbucket.org"},
		"a bitbucket server":                  {[]string{"X-Event-Key", "pr:modified", "X-Hub-Signature", signature("own!", "{}")}, "bitbucketserver"},
		"nothing":                             {nil, ""},
		"no event":                            {[]string{"X-Hub-Signature-256", signature("sh!", "{}")}, ""},
		"another's secret":                    {[]string{"X-GitHub-Event", "push", "X-Hub-Signature-256", signature("lab!", "{}")}, ""},
		"another body":                        {[]string{"X-GitHub-Event", "push", "X-Hub-Signature-256", signature("sh!", "{} ")}, ""},
		"a part of a signature":               {[]string{"X-GitHub-Event", "push", "X-Hub-Signature-256", signature("sh!", "{}")[:40]}, ""},
		"an empty signature":                  {[]string{"X-GitHub-Event", "push", "X-Hub-Signature-256", "sha256="}, ""},
		"a signature of another kind":         {[]string{"X-GitHub-Event", "push", "X-Hub-Signature-256", strings.Replace(signature("sh!", "{}"), "sha256", "sha1", 1)}, ""},
		"a part of a token":                   {[]string{"X-Gitlab-Event", "Push Hook", "X-Gitlab-Token", "lab"}, ""},
		"an empty token":                      {[]string{"X-Gitlab-Event", "Push Hook", "X-Gitlab-Token", ""}, ""},
		"what another service says":           {[]string{"X-Event-Key", "repo:push", "X-Gitlab-Token", "lab!"}, ""},
		"a bearer token that is none, signed": {[]string{"X-Gitlab-Event", "Push Hook", "X-Gitlab-Token", "lab!", "Authorization", "Bearer x"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := hooked(t)
			require.Equal(t, http.StatusOK, b.as(t, "secret", "POST", "/api/v1/secrets/default", webhookClients, nil))
			a := ask(t, "POST", b.URL+"/api/v1/events/default/d", "{}", tt.headers...)
			b.serve(t)
			if tt.client == "" {
				require.Equal(t, http.StatusUnauthorized, a.status, a.body)
				require.Empty(t, b.made())
				return
			}
			require.Equal(t, http.StatusOK, a.status, a.body)
			made := b.made()
			require.Len(t, made, 1)
			require.Equal(t, map[string]string{"creator": "system-serviceaccount-default-" + tt.client}, whose(made[0].Run.Labels))
			heard := made[0].Run.Annotations["heard"]
			for _, secret := range []string{"lab!", "uuid!"} {
				require.NotContains(t, heard, secret, "workflows do not see what signs")
			}
		})
	}
}

func TestASignatureOpensNothingButItsOwnNamespacesEvents(t *testing.T) {
	t.Parallel()
	b := hooked(t)
	require.Equal(t, http.StatusOK, b.as(t, "secret", "POST", "/api/v1/secrets/default", webhookClients, nil))
	signed := []string{"X-Gitlab-Event", "Push Hook", "X-Gitlab-Token", "lab!"}
	for _, path := range []string{
		"POST /api/v1/events/other/d", "POST /api/v1/events/default%2Fother/d", "POST /api/v1/events/default/../other/d",
		"POST /api/v1/events/default", "POST /api/v1/workflows/default", "GET /api/v1/events/default/d", "GET /api/v1/workflows/default",
		"POST /api/v1/workflow-event-bindings/default",
	} {
		method, path, _ := strings.Cut(path, " ")
		r, err := http.NewRequest(method, b.URL+path, strings.NewReader("{}"))
		require.NoError(t, err)
		for i := 0; i < len(signed); i += 2 {
			r.Header.Set(signed[i], signed[i+1])
		}
		a, err := http.DefaultTransport.RoundTrip(r)
		require.NoError(t, err)
		require.NoError(t, a.Body.Close())
		require.Contains(t, []int{http.StatusUnauthorized, http.StatusTemporaryRedirect, http.StatusMovedPermanently}, a.StatusCode, path)
	}
	b.serve(t)
	require.Empty(t, b.made())
}

func TestWebhookClientsAreReadFromFoldersToo(t *testing.T) {
	t.Parallel()
	b := hooked(t)
	dir := t.TempDir() // as Kubernetes mounts a Secret
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "..2026"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "..2026", "lab"), []byte("type: gitlab\nsecret: s1"), 0o600))
	require.NoError(t, os.Symlink("..2026", filepath.Join(dir, "..data")))
	require.NoError(t, os.Symlink("..data/lab", filepath.Join(dir, "lab")))
	b.http.Webhooks = map[string]string{"default": dir}
	tell := func(token string) int {
		return ask(t, "POST", b.URL+"/api/v1/events/default/d", "{}", "X-Gitlab-Event", "Push Hook", "X-Gitlab-Token", token).status
	}
	require.Equal(t, http.StatusOK, tell("s1"))
	require.Equal(t, http.StatusUnauthorized, tell("s2"))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "..2026", "lab"), []byte("type: gitlab\nsecret: s2"), 0o600))
	require.Equal(t, http.StatusOK, tell("s2"), "they are read anew")
	require.Equal(t, http.StatusUnauthorized, tell("s1"))
}

func TestWebhookClientsThatCannotBeReadLetNobodyIn(t *testing.T) {
	t.Parallel()
	for name, entry := range map[string]string{
		"no secret":    "type: gitlab",
		"empty secret": `type: gitlab\nsecret: ''`,
		"a type":       `type: gitea\nsecret: x`,
		"no YAML":      `[`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := hooked(t)
			doc := fmt.Sprintf(`{"secret":{"metadata":{"name":"argo-workflows-webhook-clients"},"stringData":{"a":"%s","b":"type: github\nsecret: sh!"}}}`, entry)
			require.Equal(t, http.StatusOK, b.as(t, "secret", "POST", "/api/v1/secrets/default", doc, nil))
			a := ask(t, "POST", b.URL+"/api/v1/events/default/d", "{}", "X-Gitlab-Event", "Push Hook", "X-Gitlab-Token", "")
			require.Equal(t, http.StatusForbidden, a.status)
			require.JSONEq(t, `{"code":7,"message":"failed to process webhook request"}`, a.body)
			a = ask(t, "POST", b.URL+"/api/v1/events/default/d", "{}", "X-GitHub-Event", "push", "X-Hub-Signature-256", signature("sh!", "{}"))
			require.Equal(t, http.StatusOK, a.status, "others are let in as before")
		})
	}
}

func TestABodyThatIsTooLargeIsNotSigned(t *testing.T) {
	t.Parallel()
	b := hooked(t)
	require.Equal(t, http.StatusOK, b.as(t, "secret", "POST", "/api/v1/secrets/default", webhookClients, nil))
	a := ask(t, "POST", b.URL+"/api/v1/events/default/d", `"`+strings.Repeat("x", maxBody)+`"`, "X-Gitlab-Event", "Push Hook", "X-Gitlab-Token", "lab!")
	require.Equal(t, http.StatusBadRequest, a.status)
	require.Contains(t, a.body, "larger than")
}
