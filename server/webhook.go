package server

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"argosy/workflow/spec"
)

// Services that cannot send a bearer token sign what they tell of. A namespace's clients are in a
// Secret of Argo's name, or in a folder that is one mounted: by the service account that a request
// is taken to be of, what signs and with which secret. Nobody becomes anything by that but the
// teller of this one event.

// webhookSecret is the name of the Secret.
const webhookSecret = "argo-workflows-webhook-clients"

// eventsPath is where events come in, of a namespace.
const eventsPath = "/api/v1/events/"

// webhookClient is one that may sign.
type webhookClient struct {
	Type   string `json:"type"`
	Secret string `json:"secret"`
}

// signers say, by type, whether a request has what only a client with the secret can have sent.
var signers = map[string]func(c *webhookClient, h http.Header, body []byte) bool{
	"github": func(c *webhookClient, h http.Header, body []byte) bool {
		return h.Get("X-GitHub-Event") != "" && c.signed(h.Get("X-Hub-Signature-256"), body)
	},
	"gitlab": func(c *webhookClient, h http.Header, _ []byte) bool {
		return h.Get("X-Gitlab-Event") != "" && c.told(h.Get("X-Gitlab-Token"))
	},
	"bitbucket": func(c *webhookClient, h http.Header, _ []byte) bool {
		return h.Get("X-Event-Key") != "" && c.told(h.Get("X-Hook-UUID"))
	},
	"bitbucketserver": func(c *webhookClient, h http.Header, body []byte) bool {
		return h.Get("X-Event-Key") != "" && c.signed(h.Get("X-Hub-Signature"), body)
	},
}

// toldHeaders are those that are secrets themselves, and none of an event's affair.
var toldHeaders = []string{"X-Gitlab-Token", "X-Hook-UUID"}

// signed says that a signature is that of the body with the client's secret.
func (c *webhookClient) signed(signature string, body []byte) bool {
	text, ok := strings.CutPrefix(signature, "sha256=")
	given, err := hex.DecodeString(text)
	if !ok || err != nil {
		return false
	}
	mac := hmac.New(sha256.New, []byte(c.Secret))
	mac.Write(body)
	return hmac.Equal(given, mac.Sum(nil))
}

// told says that a header is the client's secret, in a time that does not tell how much of it is.
func (c *webhookClient) told(header string) bool {
	given, want := sha256.Sum256([]byte(header)), sha256.Sum256([]byte(c.Secret))
	return subtle.ConstantTimeCompare(given[:], want[:]) == 1
}

// parseWebhookClient reads an entry of the Secret. One without a secret would let anybody in.
func parseWebhookClient(text []byte) (*webhookClient, error) {
	c := &webhookClient{}
	if err := yaml.Unmarshal(text, c); err != nil {
		return nil, err
	}
	if signers[c.Type] == nil {
		return nil, fmt.Errorf("type %q is none of %s", c.Type, strings.Join(slices.Sorted(maps.Keys(signers)), ", "))
	}
	if c.Secret == "" {
		return nil, errors.New("it has no secret")
	}
	return c, nil
}

// webhook returns the request as it goes on, and who has signed it: known is false if nobody has, as
// far as is known. What is read of its body was bounded before.
func (h *HTTP) webhook(r *http.Request) (as *http.Request, by User, known bool, e *Error) {
	rest, isEvent := strings.CutPrefix(r.URL.EscapedPath(), eventsPath)
	namespace, _, ok := strings.Cut(rest, "/")
	// With escapes what is a namespace here might be none to who serves it.
	if r.Method != http.MethodPost || r.Header.Get("Authorization") != "" || !isEvent || !ok || strings.Contains(rest, "%") {
		return r, User{}, false, nil
	}
	// It says no more, since it would say it to those who try what they can do.
	refused := errorf(CodeForbidden, "failed to process webhook request")
	entries, err := h.webhookClients(r.Context(), namespace)
	if err != nil {
		h.Log.Error("webhook clients cannot be read", "namespace", namespace, "err", err)
		return r, User{}, false, refused
	}
	if len(entries) == 0 {
		return r, User{}, false, nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return r, User{}, false, asError(err)
	}
	var bad *Error
	for _, account := range slices.Sorted(maps.Keys(entries)) {
		c, err := parseWebhookClient(entries[account])
		if err != nil {
			h.Log.Error("a webhook client cannot be read", "namespace", namespace, "client", account, "err", err)
			bad = refused
			continue
		}
		if signers[c.Type](c, r.Header, body) {
			as = r.Clone(r.Context())
			as.Body = io.NopCloser(bytes.NewReader(body))
			for _, name := range toldHeaders {
				as.Header.Del(name)
			}
			return as, User{Name: "system:serviceaccount:" + namespace + ":" + account}, true, nil
		}
	}
	return r, User{}, false, bad
}

// webhookClients are the entries of a namespace's clients, by service account.
func (h *HTTP) webhookClients(ctx context.Context, namespace string) (map[string][]byte, error) {
	if dir, ok := h.Webhooks[namespace]; ok {
		return readEntries(dir)
	}
	stored, err := h.Service.objects.Get(ctx, spec.KindSecret, namespace, webhookSecret)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var s corev1.Secret
	if err := json.Unmarshal(stored.JSON, &s); err != nil {
		return nil, fmt.Errorf("decoding secret %s: %w", webhookSecret, err)
	}
	entries := maps.Clone(s.Data)
	if entries == nil {
		entries = map[string][]byte{}
	}
	for name, text := range s.StringData {
		entries[name] = []byte(text)
	}
	return entries, nil
}

// readEntries reads a folder as Kubernetes mounts a Secret: with links, and with names of its own that
// begin with a dot.
func readEntries(dir string) (map[string][]byte, error) {
	found, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	entries := map[string][]byte{}
	for _, e := range found {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if errors.Is(err, fs.ErrNotExist) { // it went just now
			continue
		}
		if err != nil {
			return nil, err
		}
		entries[e.Name()] = text
	}
	return entries, nil
}
