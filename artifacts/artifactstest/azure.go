package artifactstest

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"argosy/artifacts"
)

// Azure stands in for the Blob service of Azure Storage, at the address form of an emulator.
type Azure struct {
	*standIn
	url string
}

const azureName = "argosyaccount"

var azureKey = base64.StdEncoding.EncodeToString([]byte("the key of an account, which is 64 bytes long in the real world."))

// StartAzure starts one for a test.
func StartAzure(t *testing.T) *Azure {
	t.Helper()
	a := &Azure{standIn: newStandIn()}
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	a.url = server.URL + "/" + azureName
	return a
}

// Container is the configuration of a container that no one else uses.
func (a *Azure) Container() artifacts.AzureConfig {
	name := fmt.Sprintf("container-%d", a.next())
	a.bucket(name)
	return artifacts.AzureConfig{Endpoint: a.url, Container: name, Key: azureKey}
}

const azureToken, azureSecret = "token-of-the-worker", "secret-of-the-worker"

// AsWorker is the configuration of a container that is reached as who this process is, which is
// told by its environment and signs in at the stand-in. Both ask for TLS, which this process trusts
// until the test ends: no other may run beside it.
func (a *Azure) AsWorker(t *testing.T) artifacts.AzureConfig {
	t.Helper()
	server := httptest.NewTLSServer(a)
	t.Cleanup(server.Close)
	before := http.DefaultTransport
	http.DefaultTransport = server.Client().Transport
	t.Cleanup(func() { http.DefaultTransport = before })
	for name, value := range map[string]string{
		"AZURE_AUTHORITY_HOST": server.URL, "AZURE_TENANT_ID": "tenant", "AZURE_CLIENT_ID": "client", "AZURE_CLIENT_SECRET": azureSecret,
	} {
		t.Setenv(name, value)
	}
	cfg := a.Container()
	return artifacts.AzureConfig{Endpoint: server.URL + "/" + azureName, Container: cfg.Container, OwnIdentity: true, TrustedHosts: []string{"127.0.0.1"}, Transport: http.DefaultTransport}
}

// signIn answers whoever asks for a token.
func (a *Azure) signIn(w http.ResponseWriter, r *http.Request) {
	here := "https://" + r.Host + "/tenant"
	w.Header().Set("Content-Type", "application/json")
	switch {
	case r.Method == http.MethodGet:
		fmt.Fprintf(w, `{"issuer":"%[1]s/v2.0","authorization_endpoint":"%[1]s/authorize","token_endpoint":"%[1]s/token"}`, here)
	case r.FormValue("client_secret") != azureSecret:
		a.deny(r)
		http.Error(w, `{"error":"invalid_client","error_description":"the secret is wrong"}`, http.StatusUnauthorized)
	default:
		fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":3600}`, azureToken)
	}
}

// signed says that a request carries the signature of the account's key.
func (a *Azure) signed(r *http.Request) bool {
	h := r.Header
	length := strconv.FormatInt(r.ContentLength, 10)
	if r.ContentLength <= 0 {
		length = ""
	}
	text := []string{
		r.Method, h.Get("Content-Encoding"), h.Get("Content-Language"), length, h.Get("Content-MD5"), h.Get("Content-Type"), "",
		h.Get("If-Modified-Since"), h.Get("If-Match"), h.Get("If-None-Match"), h.Get("If-Unmodified-Since"), h.Get("Range"),
	}
	var names []string
	for k := range h {
		if k = strings.ToLower(k); strings.HasPrefix(k, "x-ms-") {
			names = append(names, k)
		}
	}
	slices.Sort(names)
	for _, k := range names {
		text = append(text, k+":"+h.Get(k))
	}
	resource := "/" + azureName + r.URL.EscapedPath()
	query := r.URL.Query()
	var params []string
	for k, v := range query {
		slices.Sort(v)
		params = append(params, strings.ToLower(k)+":"+strings.Join(v, ","))
	}
	slices.Sort(params)
	for _, p := range params {
		resource += "\n" + p
	}
	key, err := base64.StdEncoding.DecodeString(azureKey)
	if err != nil {
		return false
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(strings.Join(append(text, resource), "\n")))
	return h.Get("Authorization") == "SharedKey "+azureName+":"+base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func (a *Azure) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fail := func(status int, code string) {
		w.Header().Set("x-ms-error-code", code)
		http.Error(w, `<?xml version="1.0"?><Error><Code>`+code+`</Code><Message>no</Message></Error>`, status)
	}
	if strings.HasPrefix(r.URL.Path, "/tenant/") {
		a.signIn(w, r)
		return
	}
	if r.Header.Get("Authorization") != "Bearer "+azureToken && !a.signed(r) {
		a.deny(r)
		fail(http.StatusForbidden, "AuthenticationFailed")
		return
	}
	container, escaped, _ := strings.Cut(strings.TrimPrefix(r.URL.EscapedPath(), "/"+azureName+"/"), "/")
	key := unescaped(escaped)
	switch q := r.URL.Query(); {
	case r.Method == http.MethodGet && q.Get("comp") == "list":
		a.list(w, container, q)
	case r.Method == http.MethodPut && q.Get("comp") == "block":
		if !a.part(container+"/"+key, q.Get("blockid"), r.Body) {
			fail(http.StatusBadRequest, "InvalidInput")
			return
		}
		w.WriteHeader(http.StatusCreated)
	case r.Method == http.MethodPut && q.Get("comp") == "blocklist":
		var list struct {
			Latest []string `xml:"Latest"`
		}
		if xml.NewDecoder(r.Body).Decode(&list) != nil || !a.complete(container+"/"+key, list.Latest, container, key) {
			fail(http.StatusBadRequest, "InvalidBlockList")
			return
		}
		w.WriteHeader(http.StatusCreated)
	case r.Method == http.MethodPut && r.Header.Get("x-ms-blob-type") == "BlockBlob":
		if !a.put(container, key, r.Body) {
			fail(http.StatusNotFound, "ContainerNotFound")
			return
		}
		w.WriteHeader(http.StatusCreated)
	case r.Method == http.MethodGet, r.Method == http.MethodHead:
		b, ok := a.get(container, key)
		if !ok {
			fail(http.StatusNotFound, "BlobNotFound")
			return
		}
		w.Header().Set("Last-Modified", b.at.Format(http.TimeFormat))
		w.Header().Set("ETag", `"1"`)
		w.Header().Set("Content-Length", strconv.Itoa(len(b.data)))
		if r.Method == http.MethodGet {
			_, _ = w.Write(b.data)
		}
	case r.Method == http.MethodDelete:
		if !a.delete(container, key) {
			fail(http.StatusNotFound, "BlobNotFound")
			return
		}
		w.WriteHeader(http.StatusAccepted)
	default:
		fail(http.StatusNotImplemented, "NotImplemented")
	}
}

func (a *Azure) list(w http.ResponseWriter, container string, q url.Values) {
	keys, more := a.page(container, q.Get("prefix"), q.Get("marker"))
	var out bytes.Buffer
	out.WriteString(`<?xml version="1.0" encoding="utf-8"?><EnumerationResults><Blobs>`)
	for _, k := range keys {
		b, _ := a.get(container, k)
		out.WriteString("<Blob><Name>")
		_ = xml.EscapeText(&out, []byte(k))
		fmt.Fprintf(&out, "</Name><Properties><Last-Modified>%s</Last-Modified><Content-Length>%d</Content-Length></Properties></Blob>",
			b.at.Format(http.TimeFormat), len(b.data))
	}
	out.WriteString("</Blobs><NextMarker>")
	if more {
		_ = xml.EscapeText(&out, []byte(keys[len(keys)-1]))
	}
	out.WriteString("</NextMarker></EnumerationResults>")
	w.Header().Set("Content-Type", "application/xml")
	_, _ = w.Write(out.Bytes())
}

// unescaped is a part of a path as it was meant.
func unescaped(s string) string {
	out, err := url.PathUnescape(s)
	if err != nil {
		return s
	}
	return out
}
