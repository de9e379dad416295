package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"argosy/worker/handover"
)

// gateway is the worker's side of the handover, by HTTP.
type gateway struct {
	url, token string
	patience   time.Duration // with a gateway that cannot be reached
	client     *http.Client
	store      *http.Client // for addresses that the gateway signs
	indirect   bool         // stores are not to be found from here
}

var (
	errNotFound = errors.New("not found")
	// errRefused says that nothing more is wanted of this pod.
	errRefused = errors.New("the gateway refuses this step")
)

// serverTries is how often a request is tried that the gateway answers with an error of its
// store.
const serverTries = 4

// newGateway is the one that the runner's environment names.
func newGateway(ours map[string]string, patience time.Duration) *gateway {
	return &gateway{
		url: ours[handover.EnvGateway], token: ours[handover.EnvToken], patience: patience,
		client: newClient(handover.ClientTLS(ours[handover.EnvKey])), store: newClient(nil),
	}
}

func newClient(secure *tls.Config) *http.Client {
	return &http.Client{Transport: &http.Transport{
		Proxy:                 nil, // it is in the cluster, and the user's proxy is not for us
		DialContext:           (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		TLSClientConfig:       secure,
		ResponseHeaderTimeout: 10 * time.Minute, // a large upload is answered when it is stored
		IdleConnTimeout:       30 * time.Second,
	}}
}

// get hands what the gateway has at the path to consume. A try that breaks starts over.
func (g *gateway) get(ctx context.Context, path string, consume func(io.Reader) error) error {
	return g.persist(ctx, g.patience, func() error {
		resp, err := g.do(ctx, http.MethodGet, path, nil)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if err := consume(resp.Body); err != nil {
			return &serverError{err.Error()}
		}
		return nil
	})
}

func (g *gateway) putOutcome(ctx context.Context, data []byte) error {
	return g.persist(ctx, g.patience, func() error { return g.put(ctx, handover.PathOutcome, bytes.NewReader(data)) })
}

// serverError is an answer that may be better next time.
type serverError struct{ text string }

func (e *serverError) Error() string { return e.text }

// localError is trouble on this side; trying again does not help.
type localError struct{ err error }

func (e *localError) Error() string { return e.err.Error() }

func (g *gateway) do(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	if g.url == "" {
		return nil, &localError{errors.New("the step's pod has no gateway")}
	}
	req, err := http.NewRequestWithContext(ctx, method, g.url+path, body)
	if err != nil {
		return nil, &localError{err}
	}
	req.Header.Set("Authorization", "Bearer "+g.token)
	resp, err := g.client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 1024))
	if err != nil {
		return nil, err
	}
	text := strings.TrimSpace(string(raw))
	switch {
	case resp.StatusCode == http.StatusNotFound:
		return nil, fmt.Errorf("%w: %s", errNotFound, text)
	case resp.StatusCode == http.StatusNotImplemented:
		return nil, errIndirect
	case resp.StatusCode == http.StatusServiceUnavailable:
		// As if it could not be reached: another worker takes over, or the store comes back.
		return nil, errors.New(text)
	case resp.StatusCode >= 500:
		return nil, &serverError{text}
	}
	return nil, fmt.Errorf("%w: %s", errRefused, text)
}

// persist tries until it works, is refused, or patience ends, which counts from the first failure.
func (g *gateway) persist(ctx context.Context, patience time.Duration, try func() error) error {
	var failed time.Time
	wait := 100 * time.Millisecond
	for n := 1; ; n++ {
		err := try()
		var local *localError
		var server *serverError
		if n == 1 {
			failed = time.Now()
		}
		switch {
		case err == nil, errors.As(err, &local), errors.Is(err, errNotFound), errors.Is(err, errRefused), errors.Is(err, errIndirect):
			return err
		case errors.As(err, &server) && n == serverTries:
			return err
		case time.Since(failed) > patience:
			return fmt.Errorf("giving up after %v: %w", patience, err)
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(wait):
		}
		wait = min(2*wait, 5*time.Second)
	}
}
