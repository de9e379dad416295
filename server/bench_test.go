package server

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"argosy/workflow"
)

// nowhere takes runs in and forgets them.
type nowhere struct{ *fakeStore }

func (nowhere) SubmitOnce(context.Context, *workflow.Run, []byte) error { return nil }

func (nowhere) Submit(context.Context, *workflow.Run, []byte) error { return nil }

// BenchmarkSubmit is what a submit costs from the parsed request to the store: of one text
// many times, and of texts that each have a name and an argument of their own.
func BenchmarkSubmit(b *testing.B) {
	b.Run("same", func(b *testing.B) {
		body := `{"workflow":` + hello(`{"generateName":"a-"}`) + `}`
		submit(b, func(int) string { return body })
	})
	b.Run("own", func(b *testing.B) {
		submit(b, func(i int) string {
			return fmt.Sprintf(`{"namespace":"default","workflow":{"apiVersion":"argoproj.io/v1alpha1","kind":"Workflow",`+
				`"metadata":{"name":"hello-%d","labels":{"team":"t%d"}},`+
				`"spec":{"entrypoint":"hello","arguments":{"parameters":[{"name":"word","value":"w%d"}]},`+
				`"templates":[{"name":"hello","container":{"image":"busybox","command":["true","{{workflow.parameters.word}}"]}}]}}}`, i, i%10, i)
		})
	})
}

func submit(b *testing.B, body func(i int) string) {
	quiet := newQuietBench()
	quiet.service.store = nowhere{quiet.store}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r := httptest.NewRequest(http.MethodPost, "http://localhost/api/v1/workflows/default", strings.NewReader(body(i)))
		w := httptest.NewRecorder()
		quiet.handler.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			b.Fatal(w.Body)
		}
	}
}
