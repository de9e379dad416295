package artifactstest

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // OSS's first signature is made so
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"argosy/artifacts"
)

// OSS stands in for Alibaba Cloud's OSS, at an address with the bucket in the path.
type OSS struct {
	*standIn
	url string
}

// StartOSS starts one for a test.
func StartOSS(t *testing.T) *OSS {
	t.Helper()
	o := &OSS{standIn: newStandIn()}
	server := httptest.NewServer(o)
	t.Cleanup(server.Close)
	o.url = server.URL
	return o
}

// Bucket is the configuration of a bucket that no one else uses, and that is made.
func (o *OSS) Bucket() artifacts.OSSConfig {
	return artifacts.OSSConfig{
		Endpoint: o.url, Bucket: fmt.Sprintf("bucket-%d", o.next()), Create: true, AccessKey: account, SecretKey: secret,
	}
}

// UnderWay counts the uploads that were neither completed nor taken back.
func (o *OSS) UnderWay() int { return o.underWay() }

// signed says that a request carries the signature of the account's key.
func (o *OSS) signed(r *http.Request, bucket, key string) bool {
	h := r.Header
	text := r.Method + "\n" + h.Get("Content-MD5") + "\n" + h.Get("Content-Type") + "\n" + h.Get("Date") + "\n"
	var names []string
	for k := range h {
		if k = strings.ToLower(k); strings.HasPrefix(k, "x-oss-") {
			names = append(names, k)
		}
	}
	slices.Sort(names)
	for _, k := range names {
		text += k + ":" + h.Get(k) + "\n"
	}
	var params []string
	for k, v := range r.URL.Query() {
		if !slices.Contains([]string{"uploads", "uploadId", "partNumber", "continuation-token", "lifecycle"}, k) {
			continue
		}
		if v[0] != "" {
			k += "=" + v[0]
		}
		params = append(params, k)
	}
	slices.Sort(params)
	text += "/" + bucket + "/" + key
	if len(params) > 0 {
		text += "?" + strings.Join(params, "&")
	}
	mac := hmac.New(sha1.New, []byte(secret))
	mac.Write([]byte(text))
	return h.Get("Authorization") == "OSS "+account+":"+base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func (o *OSS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	bucket, escaped, _ := strings.Cut(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/")
	key := unescaped(escaped)
	fail := func(status int, code string) {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		fmt.Fprintf(w, `<?xml version="1.0"?><Error><Code>%s</Code><Message>no</Message></Error>`, code)
	}
	if !o.signed(r, bucket, key) {
		o.deny(r)
		fail(http.StatusForbidden, "SignatureDoesNotMatch")
		return
	}
	q := r.URL.Query()
	upload := bucket + "/" + key + "/" + q.Get("uploadId")
	switch {
	case key == "" && r.Method == http.MethodPut && q.Has("lifecycle"):
		rule, _ := io.ReadAll(r.Body)
		o.mu.Lock()
		o.rules[bucket] = string(rule)
		o.mu.Unlock()
	case key == "" && r.Method == http.MethodPut:
		o.bucket(bucket)
	case key == "" && r.Method == http.MethodGet:
		o.list(w, bucket, q)
	case r.Method == http.MethodPost && q.Has("uploads"):
		id := strconv.Itoa(o.next())
		o.part(bucket+"/"+key+"/"+id, "", strings.NewReader(""))
		fmt.Fprintf(w, "<InitiateMultipartUploadResult><UploadId>%s</UploadId></InitiateMultipartUploadResult>", id)
	case r.Method == http.MethodPut && q.Has("partNumber"):
		if !o.part(upload, q.Get("partNumber"), r.Body) {
			fail(http.StatusBadRequest, "IncompleteBody")
			return
		}
		w.Header().Set("ETag", `"`+q.Get("partNumber")+`"`)
	case r.Method == http.MethodPost && q.Has("uploadId"):
		var done struct {
			Part []struct{ PartNumber, ETag string }
		}
		err := xml.NewDecoder(r.Body).Decode(&done)
		var names []string
		for _, p := range done.Part {
			names = append(names, p.PartNumber)
		}
		if err != nil || !o.complete(upload, names, bucket, key) {
			fail(http.StatusBadRequest, "InvalidPart")
			return
		}
		fmt.Fprint(w, "<CompleteMultipartUploadResult></CompleteMultipartUploadResult>")
	case r.Method == http.MethodDelete && q.Has("uploadId"):
		o.mu.Lock()
		delete(o.parts, upload)
		o.mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodPut:
		if !o.put(bucket, key, r.Body) {
			fail(http.StatusNotFound, "NoSuchBucket")
		}
	case r.Method == http.MethodGet, r.Method == http.MethodHead:
		b, ok := o.get(bucket, key)
		if !ok {
			fail(http.StatusNotFound, "NoSuchKey")
			return
		}
		w.Header().Set("Last-Modified", b.at.Format(http.TimeFormat))
		w.Header().Set("Content-Length", strconv.Itoa(len(b.data)))
		if r.Method == http.MethodGet {
			_, _ = w.Write(b.data)
		}
	case r.Method == http.MethodDelete:
		o.delete(bucket, key)
		w.WriteHeader(http.StatusNoContent)
	default:
		fail(http.StatusNotImplemented, "NotImplemented")
	}
}

func (o *OSS) list(w http.ResponseWriter, bucket string, q url.Values) {
	keys, more := o.page(bucket, q.Get("prefix"), q.Get("continuation-token"))
	var out bytes.Buffer
	fmt.Fprintf(&out, `<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><EncodingType>url</EncodingType><IsTruncated>%t</IsTruncated>`, more)
	for _, k := range keys {
		b, _ := o.get(bucket, k)
		fmt.Fprintf(&out, "<Contents><Key>%s</Key><Size>%d</Size><LastModified>%s</LastModified></Contents>",
			url.QueryEscape(k), len(b.data), b.at.Format(time.RFC3339))
	}
	if more {
		fmt.Fprintf(&out, "<NextContinuationToken>%s</NextContinuationToken>", url.QueryEscape(keys[len(keys)-1]))
	}
	out.WriteString("</ListBucketResult>")
	w.Header().Set("Content-Type", "application/xml")
	_, _ = w.Write(out.Bytes())
}
