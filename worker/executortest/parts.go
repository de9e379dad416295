package executortest

import (
	"context"
	"crypto/md5" //nolint:gosec // as S3 has it
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"argosy/worker"
	"argosy/workflow/spec"
)

// PartServer is where pods send the parts of a Store's objects, at addresses that say what each
// has to be. It stands for S3.
type PartServer struct {
	store  *Store
	server *httptest.Server

	mu      sync.Mutex
	uploads map[string]map[int]string // by id, the parts by their number
	begun   int
	stored  int
	answer  func(r *http.Request) int // another status than 200; 0 is none
}

// TakeParts lets pods write objects of the store by themselves.
func (s *Store) TakeParts(t testing.TB) *PartServer {
	p := &PartServer{store: s, uploads: map[string]map[int]string{}}
	p.server = httptest.NewServer(http.HandlerFunc(p.take))
	t.Cleanup(p.server.Close)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parts = p
	return p
}

// Answer has it answer requests with the status that a function says; 0 is to take the part.
func (p *PartServer) Answer(with func(r *http.Request) int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = with
}

// Leave takes the server away.
func (p *PartServer) Leave() { p.server.Close() }

// Stored is how many parts it has taken.
func (p *PartServer) Stored() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stored
}

// Open is how many uploads were neither completed nor given up.
func (p *PartServer) Open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.uploads)
}

func (p *PartServer) take(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	sum := md5.Sum(body) //nolint:gosec // as above
	md5 := base64.StdEncoding.EncodeToString(sum[:])
	query := r.URL.Query()
	number, bad := strconv.Atoi(query.Get("number"))
	p.mu.Lock()
	defer p.mu.Unlock()
	status := 0
	if p.answer != nil {
		status = p.answer(r)
	}
	parts := p.uploads[query.Get("id")]
	switch {
	case status != 0:
		w.WriteHeader(status)
	case err != nil || bad != nil || parts == nil || query.Get("md5") != md5 || r.Header.Get("Content-Md5") != md5:
		http.Error(w, "not what was signed", http.StatusForbidden)
	default:
		p.stored++
		parts[number] = string(body)
		w.Header().Set("ETag", fmt.Sprintf(`"%x"`, sum))
	}
}

// Parts implements worker.ArtifactStore.
func (s *Store) Parts(_ context.Context, a *spec.Artifact, object string) (worker.Parts, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.parts == nil {
		return nil, nil
	}
	return partsOf{s.parts, objectKey(a, object)}, nil
}

type partsOf struct {
	at  *PartServer
	key string
}

func (p partsOf) Start(context.Context) (string, error) {
	p.at.mu.Lock()
	defer p.at.mu.Unlock()
	p.at.begun++
	id := fmt.Sprintf("%s %d", p.key, p.at.begun)
	p.at.uploads[id] = map[int]string{}
	return id, nil
}

func (p partsOf) Presign(_ context.Context, id string, number int, md5 []byte, _ time.Duration) (string, error) {
	query := url.Values{"id": {id}, "number": {strconv.Itoa(number)}, "md5": {base64.StdEncoding.EncodeToString(md5)}}
	return p.at.server.URL + "/?" + query.Encode(), nil
}

func (p partsOf) Complete(_ context.Context, id string, etags []string) error {
	p.at.mu.Lock()
	defer p.at.mu.Unlock()
	parts := p.at.uploads[id]
	if parts == nil || !strings.HasPrefix(id, p.key+" ") {
		return fmt.Errorf("%s has no upload %q", p.key, id)
	}
	var whole strings.Builder
	for i, etag := range etags {
		part := parts[i+1]
		if want := fmt.Sprintf(`"%x"`, md5.Sum([]byte(part))); want != etag { //nolint:gosec // as above
			return fmt.Errorf("part %d is %s and not %s", i+1, want, etag)
		}
		whole.WriteString(part)
	}
	delete(p.at.uploads, id)
	p.at.store.Set(p.key, whole.String())
	return nil
}

func (p partsOf) Abort(_ context.Context, id string) error {
	p.at.mu.Lock()
	defer p.at.mu.Unlock()
	delete(p.at.uploads, id)
	return nil
}
