package artifacts

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"

	"github.com/minio/minio-go/v7"
)

// ErrAway marks a store that cannot be reached, or cannot answer, which may pass by itself: to
// try again makes sense. Whoever has a wrong address, bucket or key is told so at once.
var ErrAway = errors.New("the artifact store is away")

// away marks an error of S3 that may pass.
func away(ctx context.Context, err error) error {
	if err != nil && ctx.Err() == nil && mayPass(err) {
		return fmt.Errorf("%w: %w", ErrAway, err)
	}
	return err
}

func mayPass(err error) bool {
	if answer, ok := errors.AsType[minio.ErrorResponse](err); ok {
		return mayPassLater(answer.StatusCode)
	}
	if p, ok := errors.AsType[interface {
		error
		Permanent() bool
	}](err); ok && p.Permanent() {
		return false
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return false
	}
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	if errors.As(err, &certificate) || errors.As(err, &record) || errors.Is(err, http.ErrSchemeMismatch) {
		return false
	}
	var request *url.Error
	var network net.Error
	return errors.As(err, &request) || errors.As(err, &network) || errors.Is(err, io.ErrUnexpectedEOF)
}

// mayPassLater is of the status with which a store answers.
func mayPassLater(status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusRequestTimeout:
		return true
	case http.StatusNotImplemented:
		return false
	}
	return status >= http.StatusInternalServerError
}

// answered marks what a store said with a status that is no success.
func answered(status int, said error) error {
	switch {
	case status == http.StatusNotFound:
		return fmt.Errorf("%w: %w", ErrNotFound, said)
	case mayPassLater(status):
		return fmt.Errorf("%w: %w", ErrAway, said)
	}
	return said
}

// body is an object being read.
type body struct {
	io.ReadCloser
	ctx context.Context
}

func (b body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		return n, err
	}
	return n, away(b.ctx, err)
}
