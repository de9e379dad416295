package artifacts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
)

// Web is a Store of the one object at a URL, whatever key it is asked by. It cannot list or
// delete.
type Web struct {
	URL    string
	Header http.Header
	// User and Password are sent if either is set.
	User, Password string
	Client         *http.Client
}

// ErrOneObject says that a Web has only its one object.
var ErrOneObject = errors.New("a URL has one object, which is neither listed nor deleted")

func (w *Web) do(ctx context.Context, method string, body io.Reader, size int64) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, w.URL, body)
	if err == nil && r.URL.Scheme != "http" && r.URL.Scheme != "https" {
		err = fmt.Errorf("%q is neither http nor https", r.URL.Scheme)
	}
	if err != nil {
		return nil, err
	}
	if r.Header = w.Header.Clone(); r.Header == nil {
		r.Header = http.Header{}
	}
	r.Host = w.Header.Get("Host")
	r.Header.Del("Host")
	if body != nil {
		r.ContentLength = size
	}
	if w.User != "" || w.Password != "" {
		r.SetBasicAuth(w.User, w.Password)
	}
	answer, err := w.Client.Do(r)
	if err != nil {
		return nil, away(ctx, err)
	}
	switch code := answer.StatusCode; {
	case code >= 200 && code < 300:
		return answer, nil
	case code == http.StatusNotFound || code == http.StatusGone:
		err = ErrNotFound
	case mayPassLater(code):
		err = fmt.Errorf("%w: it answered %s", ErrAway, answer.Status)
	default:
		err = fmt.Errorf("it answered %s", answer.Status)
	}
	return nil, errors.Join(err, answer.Body.Close())
}

// Put implements Store.
func (w *Web) Put(ctx context.Context, _ string, r io.Reader, size int64) error {
	return put(ctx, w.URL, r, -1, func(from *upload) error { // of the size, HTTP itself takes care
		answer, err := w.do(ctx, http.MethodPut, from, size)
		if err != nil {
			return err
		}
		return answer.Body.Close()
	})
}

// Get implements Store.
func (w *Web) Get(ctx context.Context, _ string) (io.ReadCloser, error) {
	answer, err := w.do(ctx, http.MethodGet, nil, 0) //nolint:bodyclose // whoever reads it closes it
	if err != nil {
		return nil, fmt.Errorf("getting %s: %w", w.URL, err)
	}
	return body{answer.Body, ctx}, nil
}

// Stat implements Store.
func (w *Web) Stat(ctx context.Context, key string) (Object, error) {
	answer, err := w.do(ctx, http.MethodHead, nil, 0)
	if err != nil {
		return Object{}, fmt.Errorf("looking at %s: %w", w.URL, err)
	}
	return Object{Key: key, Size: answer.ContentLength}, answer.Body.Close()
}

// List implements Store: nothing is below the object.
func (w *Web) List(context.Context, string) iter.Seq2[Object, error] {
	return func(func(Object, error) bool) {}
}

// Delete implements Store.
func (w *Web) Delete(context.Context, string) error { return ErrOneObject }
