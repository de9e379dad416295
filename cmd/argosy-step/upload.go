package main

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // S3's own checksum of a part, not a secret's
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"argosy/worker/handover"
)

// directPatience is how long a part is tried at the store's own address. Then all of the output
// goes through the gateway.
const directPatience = time.Minute

// errIndirect says that an output has to go through the gateway.
var errIndirect = errors.New("the output cannot be sent to its store from here")

// putOutput sends what write writes as an object of an output: to the store in parts, if it is
// large and that can be, and else through the gateway. A try that breaks starts over.
func (g *gateway) putOutput(ctx context.Context, name, object string, write func(io.Writer) error) error {
	return g.persist(ctx, g.patience, func() error {
		from := packing(write)
		err := g.send(ctx, name, object, from)
		if bad := from.stop(); bad != nil {
			return &localError{bad}
		}
		return err
	})
}

// packed is what a function writes, to be read.
type packed struct {
	*io.PipeReader
	written chan error
}

func packing(write func(io.Writer) error) *packed {
	r, w := io.Pipe()
	p := &packed{r, make(chan error, 1)}
	go func() {
		err := write(w)
		w.CloseWithError(err)
		p.written <- err
	}()
	return p
}

// stop ends the writing, and returns why it failed, if that was not for the reader.
func (p *packed) stop() error {
	p.Close()
	if err := <-p.written; !errors.Is(err, io.ErrClosedPipe) {
		return err
	}
	return nil
}

func (g *gateway) send(ctx context.Context, name, object string, from io.Reader) error {
	first, more, err := fill(nil, from, handover.PartSize(1))
	if err != nil {
		return err
	}
	to := objectPath(handover.PathOutput, name, object)
	if !more {
		return g.put(ctx, to, bytes.NewReader(first))
	}
	if !g.indirect {
		err := g.sendParts(ctx, name, object, first, from)
		if !errors.Is(err, errIndirect) {
			return err
		}
	}
	return g.put(ctx, to, io.MultiReader(bytes.NewReader(first), from))
}

// put streams to a path of the gateway, once.
func (g *gateway) put(ctx context.Context, path string, body io.Reader) error {
	resp, err := g.do(ctx, http.MethodPut, path, body)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// fill reads up to size bytes into buf. more says that there may be more.
func fill(buf []byte, from io.Reader, size int) (read []byte, more bool, err error) {
	buf = buf[:0]
	for len(buf) < size {
		if len(buf) == cap(buf) {
			buf = slices.Grow(buf, min(max(64<<10, len(buf)), size-len(buf)))
		}
		n, err := from.Read(buf[len(buf):min(cap(buf), size)])
		buf = buf[:len(buf)+n]
		if errors.Is(err, io.EOF) {
			return buf, false, nil
		}
		if err != nil {
			return buf, false, err
		}
	}
	return buf, true, nil
}

// sendParts sends an output to its store, of which the first part was read. It fails with
// errIndirect if that has to go through the gateway, and nothing more was read.
func (g *gateway) sendParts(ctx context.Context, name, object string, part []byte, from io.Reader) (err error) {
	query := url.Values{}
	if object != "" {
		query.Set("object", object)
	}
	at := func() string { return objectPath(handover.PathParts, name, "") + "?" + query.Encode() }
	var upload handover.Upload
	if err := g.ask(ctx, http.MethodPost, at(), nil, &upload); err != nil {
		return err
	}
	query.Set("id", upload.ID)
	defer func() {
		if err == nil {
			return
		}
		if resp, failed := g.do(context.WithoutCancel(ctx), http.MethodDelete, at(), nil); failed == nil {
			resp.Body.Close()
		}
	}()
	var all handover.Complete
	for number, more := 1, true; ; number++ {
		if number > handover.MaxParts {
			return &localError{fmt.Errorf("the output is too large: it has more than %d parts", handover.MaxParts)}
		}
		etag, err := g.sendPart(ctx, query, at, number, part)
		if err != nil {
			return err
		}
		all.ETags = append(all.ETags, etag)
		if !more {
			break
		}
		if part, more, err = fill(part, from, handover.PartSize(number+1)); err != nil {
			return err
		}
		if len(part) == 0 {
			break
		}
	}
	query.Del("number")
	query.Del("md5")
	return g.ask(ctx, http.MethodPut, at(), &all, nil)
}

// sendPart sends one part, and returns what the store answers.
func (g *gateway) sendPart(ctx context.Context, query url.Values, at func() string, number int, part []byte) (etag string, err error) {
	sum := md5.Sum(part) //nolint:gosec // as above
	md5 := base64.StdEncoding.EncodeToString(sum[:])
	query.Set("number", strconv.Itoa(number))
	query.Set("md5", md5)
	err = g.persist(ctx, min(g.patience, directPatience), func() error {
		var to handover.Address
		if err := g.askOnce(ctx, http.MethodGet, at(), nil, &to); err != nil {
			return err
		}
		etag, err = g.putPart(ctx, to.URL, md5, part)
		if number == 1 && unreachable(err) {
			return errIndirect
		}
		return err
	})
	var local *localError
	switch {
	case err == nil, errors.Is(err, errRefused), errors.Is(err, errNotFound), errors.As(err, &local), ctx.Err() != nil:
		return etag, err
	case errors.Is(err, errIndirect):
		g.indirect = true
		return "", err
	}
	// What was read is gone: the output starts over.
	g.indirect = true
	return "", &serverError{fmt.Sprintf("sending part %d to the store: %v", number, err)}
}

func (g *gateway) putPart(ctx context.Context, to, md5 string, part []byte) (etag string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, to, bytes.NewReader(part))
	if err != nil {
		return "", &localError{err}
	}
	req.Header.Set("Content-Md5", md5)
	resp, err := g.store.Do(req)
	if err != nil {
		return "", withoutAddress(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1024))
	switch {
	case err != nil:
		return "", err
	case resp.StatusCode == http.StatusOK && resp.Header.Get("ETag") != "":
		return resp.Header.Get("ETag"), nil
	case resp.StatusCode >= 500:
		return "", fmt.Errorf("the store answers %s: %s", resp.Status, bytes.TrimSpace(text))
	}
	return "", &serverError{fmt.Sprintf("the store answers %s: %s", resp.Status, bytes.TrimSpace(text))}
}

// withoutAddress keeps an address, with which anyone could send the part, from being told.
func withoutAddress(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// unreachable says that a store is not to be found from here, though it may be from elsewhere.
func unreachable(err error) bool {
	var dns *net.DNSError
	var op *net.OpError
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	return errors.As(err, &dns) || errors.As(err, &op) && op.Op == "dial" || errors.As(err, &certificate) || errors.As(err, &record)
}

// ask has the gateway answer, in JSON.
func (g *gateway) ask(ctx context.Context, method, path string, what, into any) error {
	return g.persist(ctx, g.patience, func() error { return g.askOnce(ctx, method, path, what, into) })
}

func (g *gateway) askOnce(ctx context.Context, method, path string, what, into any) error {
	var body io.Reader
	if what != nil {
		data, err := json.Marshal(what)
		if err != nil {
			return &localError{err}
		}
		body = bytes.NewReader(data)
	}
	resp, err := g.do(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if into == nil {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return &serverError{"decoding what the gateway says: " + err.Error()}
	}
	return nil
}
