package artifacts

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
)

// upload is a stream on its way to a store whose client may go on reading after it gave up.
type upload struct {
	mu    sync.Mutex
	r     io.Reader
	err   error // of the stream, not of the store
	ended bool
}

// put sends a stream to a store under a key. That the stream failed goes before what the store
// says of it.
func put(ctx context.Context, key string, r io.Reader, size int64, send func(from *upload) error) error {
	from := newUpload(ctx, r, size)
	err := send(from)
	if err = cmp.Or(from.end(), err); err != nil {
		return fmt.Errorf("putting %s: %w", key, err)
	}
	return nil
}

// newUpload reads a stream until its context ends, and insists on the size announced.
func newUpload(ctx context.Context, r io.Reader, size int64) *upload {
	if size >= 0 {
		// One byte more tells a stream that is longer than announced.
		r = &exactly{r: io.LimitReader(r, size+1), left: size}
	}
	return &upload{r: reading{ctx, r}}
}

func (u *upload) Read(p []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.ended {
		return 0, errors.New("the upload has ended")
	}
	n, err := u.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		u.err = err
	}
	return n, err
}

// end keeps the client from the stream, and tells how reading it failed.
func (u *upload) end() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.ended = true
	return u.err
}

// ahead reads what may be the whole stream; most artifacts are small, and go up in one request
// that can be sent again. Otherwise rest is all of it.
func (u *upload) ahead() (whole *bytes.Reader, rest io.Reader, err error) {
	ahead, err := readAhead(u)
	if err != nil {
		return nil, nil, err
	}
	if len(ahead) < smallObject {
		return bytes.NewReader(ahead), nil, nil
	}
	return nil, io.MultiReader(bytes.NewReader(ahead), u), nil
}

// maxDenials is how many denials of a small object are believed.
const maxDenials = 4

// readAhead reads up to smallObject bytes, growing with what comes.
func readAhead(r io.Reader) ([]byte, error) {
	var buf bytes.Buffer
	if _, err := io.CopyN(&buf, r, smallObject); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return buf.Bytes(), nil
}

// exactly fails a stream that does not have the size announced.
type exactly struct {
	r    io.Reader
	left int64
}

func (e *exactly) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	e.left -= int64(n)
	if e.left < 0 || errors.Is(err, io.EOF) && e.left > 0 {
		return n, fmt.Errorf("the stream does not have the size announced: %w", io.ErrUnexpectedEOF)
	}
	return n, err
}
