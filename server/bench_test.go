package server

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"argosy/workflow"
)

// nowhere takes runs in and forgets them.
type nowhere struct{ *fakeStore }

func (nowhere) Submit(context.Context, *workflow.Run, []byte) error { return nil }

// BenchmarkSubmit is what a submit costs from the parsed request to the store.
func BenchmarkSubmit(b *testing.B) {
	quiet := newQuietBench()
	quiet.service.store = nowhere{quiet.store}
	body := `{"workflow":` + hello(`{"generateName":"a-"}`) + `}`
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest(http.MethodPost, "http://localhost/api/v1/workflows/default", strings.NewReader(body))
		w := httptest.NewRecorder()
		quiet.handler.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			b.Fatal(w.Body)
		}
	}
}
