package artifactstest

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"hash/crc32"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"argosy/artifacts"
)

// GCS stands in for Google Cloud Storage: the JSON API, as far as a Store needs it, and the
// server that gives tokens for what a service account signed.
type GCS struct {
	*standIn
	url string
	key *rsa.PrivateKey
}

const gcsToken = "token-of-the-account"

// StartGCS starts one for a test.
func StartGCS(t *testing.T) *GCS {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	g := &GCS{standIn: newStandIn(), key: key}
	server := httptest.NewServer(g)
	t.Cleanup(server.Close)
	g.url = server.URL
	return g
}

// URL is where it is.
func (g *GCS) URL() string { return g.url }

// Key is the service account's.
func (g *GCS) Key() []byte {
	der, err := x509.MarshalPKCS8PrivateKey(g.key)
	if err != nil {
		panic(err) // it is one
	}
	text, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "argosy@example.iam", "private_key_id": "1", "token_uri": g.url + "/token",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	})
	if err != nil {
		panic(err) // texts have JSON
	}
	return text
}

// Bucket is the configuration of a bucket that no one else uses.
func (g *GCS) Bucket() artifacts.GCSConfig {
	name := fmt.Sprintf("bucket-%d", g.next())
	g.bucket(name)
	return artifacts.GCSConfig{Bucket: name, Endpoint: g.url, Key: g.Key()}
}

// token answers whoever holds the account's key.
func (g *GCS) token(w http.ResponseWriter, r *http.Request) {
	assertion := r.FormValue("assertion")
	signed, signature, _ := cutLast(assertion, ".")
	raw, err := base64.RawURLEncoding.DecodeString(signature)
	sum := sha256.Sum256([]byte(signed))
	if err != nil || rsa.VerifyPKCS1v15(&g.key.PublicKey, crypto.SHA256, sum[:], raw) != nil {
		g.deny(r)
		http.Error(w, `{"error":"invalid_grant"}`, http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":3600}`, gcsToken)
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

func (g *GCS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/token" {
		g.token(w, r)
		return
	}
	if r.Header.Get("Authorization") != "Bearer "+gcsToken {
		g.deny(r)
		http.Error(w, `{"error":{"code":401,"message":"Anonymous caller does not have access."}}`, http.StatusUnauthorized)
		return
	}
	path, uploads := strings.CutPrefix(r.URL.EscapedPath(), "/upload")
	path = strings.TrimPrefix(path, "/storage/v1/b/")
	bucket, rest, _ := strings.Cut(path, "/o")
	key := unescaped(strings.TrimPrefix(rest, "/"))
	missing := func() { http.Error(w, `{"error":{"code":404,"message":"No such object."}}`, http.StatusNotFound) }
	answer := func(v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	switch q := r.URL.Query(); {
	case uploads && q.Get("uploadType") == "multipart":
		name, content, err := gcsParts(r)
		switch {
		case err != nil:
			http.Error(w, err.Error(), http.StatusBadRequest)
		case !g.put(bucket, name, content):
			missing()
		default:
			answer(g.described(bucket, name))
		}
	case uploads && q.Get("uploadType") == "resumable" && q.Get("upload_id") == "":
		g.begin(w, r, bucket)
	case uploads && q.Get("uploadType") == "resumable":
		if g.chunk(w, r, bucket) {
			answer(g.described(bucket, q.Get("name")))
		}
	case r.Method == http.MethodDelete:
		if !g.delete(bucket, key) {
			missing()
			return
		}
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodGet && key == "":
		page := map[string]any{}
		keys, more := g.page(bucket, q.Get("prefix"), q.Get("pageToken"))
		var items []any
		for _, k := range keys {
			items = append(items, g.described(bucket, k))
		}
		if page["items"] = items; more {
			page["nextPageToken"] = keys[len(keys)-1]
		}
		answer(page)
	case r.Method == http.MethodGet:
		b, ok := g.get(bucket, key)
		switch {
		case !ok:
			missing()
		case q.Get("alt") == "media":
			_, _ = w.Write(b.data)
		default:
			answer(g.described(bucket, key))
		}
	default:
		http.Error(w, "what?", http.StatusNotImplemented)
	}
}

// gcsParts has the name of an object and its content, of a request that brings both.
func gcsParts(r *http.Request) (name string, content io.Reader, err error) {
	_, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return "", nil, err
	}
	parts := multipart.NewReader(r.Body, params["boundary"])
	first, err := parts.NextPart()
	if err != nil {
		return "", nil, err
	}
	var object struct{ Name, Crc32c string }
	if err := json.NewDecoder(first).Decode(&object); err != nil {
		return "", nil, err
	}
	second, err := parts.NextPart()
	if err != nil {
		return "", nil, err
	}
	data, err := io.ReadAll(second)
	if err != nil {
		return "", nil, err
	}
	sum := binary.BigEndian.AppendUint32(nil, crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)))
	if is := base64.StdEncoding.EncodeToString(sum); object.Crc32c != is {
		return "", nil, fmt.Errorf("the checksum is %s, not %q", is, object.Crc32c)
	}
	return object.Name, bytes.NewReader(data), nil
}

// begin says where an object that comes in chunks is to go.
func (g *GCS) begin(w http.ResponseWriter, r *http.Request, bucket string) {
	var object struct{ Name string }
	if err := json.NewDecoder(r.Body).Decode(&object); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	q := url.Values{"uploadType": {"resumable"}, "upload_id": {strconv.Itoa(g.next())}, "name": {object.Name}}
	w.Header().Set("Location", g.url+"/upload/storage/v1/b/"+bucket+"/o?"+q.Encode())
}

// chunk takes the next of an object's chunks, and says whether it was the last, which tells how
// long the object is.
func (g *GCS) chunk(w http.ResponseWriter, r *http.Request, bucket string) (whole bool) {
	q := r.URL.Query()
	upload := q.Get("upload_id")
	place, size, _ := strings.Cut(strings.TrimPrefix(r.Header.Get("Content-Range"), "bytes "), "/")
	var from, to int
	if place != "*" { // none but the length
		if _, err := fmt.Sscanf(place, "%d-%d", &from, &to); err != nil || !g.part(upload, fmt.Sprintf("%012d", from), r.Body) {
			http.Error(w, "half a chunk", http.StatusBadRequest)
			return false
		}
	}
	if size == "*" {
		// Clients of this API ask for it in place of the status 308, which has another meaning elsewhere.
		w.Header().Set("X-Http-Status-Code-Override", strconv.Itoa(http.StatusPermanentRedirect))
		return false
	}
	if !g.complete(upload, g.partsOf(upload), bucket, q.Get("name")) {
		http.Error(w, "no such bucket", http.StatusNotFound)
		return false
	}
	if b, _ := g.get(bucket, q.Get("name")); strconv.Itoa(len(b.data)) != size {
		g.delete(bucket, q.Get("name"))
		http.Error(w, fmt.Sprintf("there are %d bytes of %s", len(b.data), size), http.StatusBadRequest)
		return false
	}
	return true
}

func (g *GCS) described(bucket, key string) map[string]any {
	b, _ := g.get(bucket, key)
	return map[string]any{"name": key, "size": strconv.Itoa(len(b.data)), "updated": b.at.Format(time.RFC3339Nano)}
}
