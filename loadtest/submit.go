package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// submitters is how many connections submit at once where throughput is measured.
const submitters = 32

// submitAll submits n runs over HTTP, body(i) each, and returns how long each call took.
func submitAll(ctx context.Context, f *fleet, n int, body func(i int) []byte) ([]time.Duration, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	took := make([]time.Duration, n)
	var next atomic.Int64
	var all sync.WaitGroup
	for range min(n, submitters) {
		all.Go(func() {
			if err := submitSome(ctx, f.api, func() ([]byte, func(time.Duration)) {
				i := int(next.Add(1)) - 1
				if i >= n {
					return nil, nil
				}
				return body(i), func(d time.Duration) { took[i] = d }
			}); err != nil {
				cancel(fmt.Errorf("submitting: %w", err))
			}
		})
	}
	all.Wait()
	return took, context.Cause(ctx)
}

// submitSome submits over one connection until there is no more. It writes requests by hand:
// the generator shares the machine with what it measures.
func submitSome(ctx context.Context, addr string, next func() (body []byte, done func(time.Duration))) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	r := bufio.NewReader(conn)
	var request bytes.Buffer
	for {
		body, done := next()
		if done == nil {
			return nil
		}
		request.Reset()
		fmt.Fprintf(&request, "POST /api/v1/workflows/%s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n",
			namespace, addr, len(body))
		request.Write(body)
		start := time.Now()
		if _, err := conn.Write(request.Bytes()); err != nil {
			return err
		}
		res, err := http.ReadResponse(r, nil) //nolint:bodyclose // it is read to its end, and the connection is ours
		if err != nil {
			return err
		}
		said, err := io.ReadAll(res.Body)
		if err != nil {
			return err
		}
		done(time.Since(start))
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", res.Status, said)
		}
	}
}

// oneStep is the request that submits a one-step run of its own name, argument and label.
func oneStep(prefix string, i int) []byte {
	return fmt.Appendf(nil, `{"namespace":%q,"workflow":%s}`, namespace, oneStepWorkflow(prefix, i))
}

func oneStepWorkflow(prefix string, i int) []byte {
	return fmt.Appendf(nil, `{"apiVersion":"argoproj.io/v1alpha1","kind":"Workflow",`+
		`"metadata":{"name":"%s-%d","labels":{"team":"t%d"}},`+
		`"spec":{"entrypoint":"hello","arguments":{"parameters":[{"name":"word","value":"w%d"}]},`+
		`"templates":[{"name":"hello","container":{"image":"busybox","command":["true","{{workflow.parameters.word}}"]}}]}}`,
		prefix, i, i%10, i)
}
