package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// keepAlive is how often an idle stream shows that it lives.
const keepAlive = 15 * time.Second

// stream sends items one by one. To a client that asks for text/event-stream each is a
// line `data: {"result":...}` and an empty line: Argo's client cuts the first six bytes of
// every line that has more and decodes the rest, so nothing else may be longer than that.
// To any other client each is a line of JSON.
type stream struct {
	w      http.ResponseWriter
	flush  *http.ResponseController
	events bool
	fields fieldSet

	mu      sync.Mutex // items and keep-alives come from two goroutines
	started bool
}

func newStream(w http.ResponseWriter, r *http.Request) *stream {
	return &stream{
		w:      w,
		flush:  http.NewResponseController(w),
		events: strings.Contains(r.Header.Get("Accept"), "text/event-stream"),
		fields: parseFields(r.URL.Query().Get("fields")),
	}
}

// start sends the headers, so that a client knows that the stream stands before there is an
// item to send.
func (s *stream) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.header()
	return s.sent()
}

func (s *stream) header() {
	if s.started {
		return
	}
	s.started = true
	kind := "application/json"
	if s.events {
		kind = "text/event-stream"
	}
	h := s.w.Header()
	h.Set("Content-Type", kind)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	s.w.WriteHeader(http.StatusOK)
}

// send sends {"result": v}.
func (s *stream) send(v any) error {
	data, err := s.fields.encode(map[string]any{"result": v})
	if err != nil {
		return fmt.Errorf("encoding a stream item: %w", err)
	}
	return s.line(data)
}

func (s *stream) line(data []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.header()
	var b bytes.Buffer
	if s.events {
		b.WriteString("data: ")
	}
	b.Write(data)
	b.WriteByte('\n')
	if s.events {
		b.WriteByte('\n')
	}
	if _, err := s.w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("sending a stream item: %w", err)
	}
	return s.sent()
}

func (s *stream) sent() error {
	// A slow reader must not hold the server for ever, a quiet stream may stay open.
	_ = s.flush.SetWriteDeadline(time.Now().Add(2 * keepAlive))
	if err := s.flush.Flush(); err != nil {
		return fmt.Errorf("flushing a stream: %w", err)
	}
	return nil
}

// beat keeps the stream alive until done closes.
func (s *stream) beat(done <-chan struct{}) {
	tick := time.NewTicker(keepAlive)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
			s.mu.Lock()
			if s.events {
				_, _ = s.w.Write([]byte(":\n"))
			}
			_ = s.sent()
			s.mu.Unlock()
		}
	}
}

// fail ends the stream with an error: as an ordinary answer when nothing was sent yet, or
// as Argo's error frame.
func (s *stream) fail(err error) {
	e := asError(err)
	s.mu.Lock()
	started := s.started
	s.mu.Unlock()
	if !started {
		writeError(s.w, e)
		return
	}
	status := e.Code.HTTP()
	frame, _ := json.Marshal(map[string]any{"error": map[string]any{
		"grpc_code": e.Code, "http_code": status, "message": e.Message, "http_status": http.StatusText(status),
	}})
	_ = s.line(frame) // the client may be gone, which is one reason to be here
}
