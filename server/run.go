package server

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Timeouts of connections. Bodies and answers of requests are bounded by the handler, since
// streams may take as long as they like.
const (
	headerTime = 10 * time.Second
	idleTime   = 2 * time.Minute
	maxHeader  = 64 << 10
)

// stopKey is where a request finds the context that tells streams to end.
type stopKey struct{}

// Serve answers requests on the listener. When stop ends it takes no more of them, ends the
// streams and lets the rest finish; when kill ends it cuts off what is left.
func Serve(stop, kill context.Context, l net.Listener, h http.Handler) error {
	s := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		BaseContext: func(net.Listener) context.Context {
			return context.WithValue(kill, stopKey{}, stop)
		},
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	select {
	case err := <-served:
		return fmt.Errorf("serving on %s: %w", l.Addr(), err)
	case <-stop.Done():
	}
	if err := s.Shutdown(kill); err != nil {
		_ = s.Close() // cut off as asked; what it could say adds nothing
	}
	<-served //nolint:errcheck // that it was closed
	return nil
}

// bounded gives every request its time. The deadlines of a connection outlast a request, so
// that each sets its own.
func bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		until := time.Now().Add(answerTime)
		// Not every writer has deadlines: those of tests and of HTTP/2 need none.
		_ = c.SetReadDeadline(until)
		_ = c.SetWriteDeadline(until.Add(time.Second)) // time for the error that says so
		next.ServeHTTP(w, r)
	})
}

// untilStop is the request's context, which also ends with the server's stop: streams do
// not keep it from going down.
func untilStop(r *http.Request) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(r.Context())
	if stop, ok := ctx.Value(stopKey{}).(context.Context); ok {
		unhook := context.AfterFunc(stop, cancel)
		return ctx, func() { unhook(); cancel() }
	}
	return ctx, cancel
}
