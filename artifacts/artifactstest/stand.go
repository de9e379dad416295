package artifactstest

import (
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// standIn is what the stand-ins for clouds have in common: objects in memory, and what was asked
// without the right to.
type standIn struct {
	mu      sync.Mutex
	buckets map[string]map[string]blob
	parts   map[string]map[string][]byte // of uploads under way
	rules   map[string]string            // of buckets, as they came
	denied  []string
	n       int
}

type blob struct {
	data []byte
	at   time.Time
}

func newStandIn() *standIn {
	return &standIn{buckets: map[string]map[string]blob{}, parts: map[string]map[string][]byte{}, rules: map[string]string{}}
}

// Keys lists what a bucket has.
func (s *standIn) Keys(bucket string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.buckets[bucket]))
}

// Denied lists the requests that were not signed as they must be.
func (s *standIn) Denied() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.denied)
}

// Rule is the lifecycle that a bucket was given.
func (s *standIn) Rule(bucket string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rules[bucket]
}

func (s *standIn) bucket(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.buckets[name] == nil {
		s.buckets[name] = map[string]blob{}
	}
}

// next numbers buckets and uploads.
func (s *standIn) next() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	return s.n
}

func (s *standIn) deny(r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.denied = append(s.denied, r.Method+" "+r.URL.RequestURI())
}

// put keeps a body that came whole; false: there is no such bucket, or half a body.
func (s *standIn) put(bucket, key string, r io.Reader) bool {
	data, err := io.ReadAll(r)
	if err != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.buckets[bucket] == nil {
		return false
	}
	s.buckets[bucket][key] = blob{data, time.Now().UTC().Truncate(time.Second)}
	return true
}

func (s *standIn) get(bucket, key string) (blob, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.buckets[bucket][key]
	return b, ok
}

// delete says whether there was something.
func (s *standIn) delete(bucket, key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.buckets[bucket][key]
	delete(s.buckets[bucket], key)
	return ok
}

// page is a few of the keys that begin with prefix and come after one, and whether more do.
func (s *standIn) page(bucket, prefix, after string) (keys []string, more bool) {
	const few = 3 // so that tests see several pages
	for _, k := range s.Keys(bucket) {
		if !strings.HasPrefix(k, prefix) || k <= after {
			continue
		}
		if len(keys) == few {
			return keys, true
		}
		keys = append(keys, k)
	}
	return keys, false
}

// part keeps a part of an upload.
func (s *standIn) part(upload, name string, r io.Reader) bool {
	data, err := io.ReadAll(r)
	if err != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.parts[upload] == nil {
		s.parts[upload] = map[string][]byte{}
	}
	s.parts[upload][name] = data
	return true
}

// partsOf lists the names of an upload's parts.
func (s *standIn) partsOf(upload string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.parts[upload]))
}

// complete joins parts; false: one is not there.
func (s *standIn) complete(upload string, names []string, bucket, key string) bool {
	s.mu.Lock()
	var readers []io.Reader
	for _, name := range names {
		data, ok := s.parts[upload][name]
		if !ok {
			s.mu.Unlock()
			return false
		}
		readers = append(readers, strings.NewReader(string(data)))
	}
	delete(s.parts, upload)
	s.mu.Unlock()
	return s.put(bucket, key, io.MultiReader(readers...))
}

// underWay counts the uploads that were neither completed nor taken back.
func (s *standIn) underWay() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.parts)
}
