package process

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"argosy/worker"
	"argosy/worker/process/sandbox"
	"argosy/workflow"
)

// probe asks a container once whether it is ready.
type probe func(ctx context.Context, a *sandbox.Attended) error

// readiness is the probe that a container's readinessProbe asks for; nil: it is ready once it has
// started.
func (e *Executor) readiness(c *corev1.Container) (probe, error) {
	p := c.ReadinessProbe
	if p == nil {
		return nil, nil
	}
	timeout := seconds(p.TimeoutSeconds, 1)
	switch h := p.ProbeHandler; {
	case h.Exec != nil:
		if len(h.Exec.Command) == 0 {
			return nil, errors.New("readinessProbe.exec has no command")
		}
		return func(_ context.Context, a *sandbox.Attended) error {
			code, err := a.Exec(h.Exec.Command, timeout)
			if err == nil && code != 0 {
				err = fmt.Errorf("exit code %d", code)
			}
			return err
		}, nil
	case h.HTTPGet != nil:
		return e.httpProbe(c, h.HTTPGet, timeout)
	case h.TCPSocket != nil:
		at, err := e.probed(c, h.TCPSocket.Host, h.TCPSocket.Port)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, _ *sandbox.Attended) error {
			conn, err := (&net.Dialer{Timeout: timeout}).DialContext(ctx, "tcp", at)
			if err != nil {
				return err
			}
			return conn.Close()
		}, nil
	case h.GRPC != nil:
		return nil, errors.New("the process executor has readinessProbes with exec, httpGet and tcpSocket only")
	}
	return nil, errors.New("readinessProbe has neither exec nor httpGet nor tcpSocket")
}

// httpProbe asks as the kubelet does: any certificate will do, and so will a redirection.
func (e *Executor) httpProbe(c *corev1.Container, h *corev1.HTTPGetAction, timeout time.Duration) (probe, error) {
	at, err := e.probed(c, h.Host, h.Port)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(h.Path)
	if err != nil {
		return nil, fmt.Errorf("readinessProbe.httpGet.path: %w", err)
	}
	u.Scheme, u.Host = "http", at
	if h.Scheme == corev1.URISchemeHTTPS {
		u.Scheme = "https"
	}
	if len(u.Path) == 0 || u.Path[0] != '/' {
		u.Path = "/" + u.Path
	}
	client := &http.Client{
		Timeout:       timeout,
		Transport:     &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, //nolint:gosec // as the kubelet
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return func(ctx context.Context, _ *sandbox.Attended) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
		if err != nil {
			return err
		}
		req.Header.Set("User-Agent", "argosy-probe")
		for _, header := range h.HTTPHeaders {
			if http.CanonicalHeaderKey(header.Name) == "Host" {
				req.Host = header.Value
			}
			req.Header.Add(header.Name, header.Value)
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		_, _ = io.CopyN(io.Discard, resp.Body, 10<<10)
		if resp.StatusCode < 200 || resp.StatusCode >= 400 {
			return fmt.Errorf("HTTP status %d", resp.StatusCode)
		}
		return nil
	}, nil
}

// probed is where a probe finds a port, which may be named as one of the container's.
func (e *Executor) probed(c *corev1.Container, host string, port intstr.IntOrString) (string, error) {
	if host == "" {
		host = e.address
	}
	n := int(port.IntVal)
	if port.Type == intstr.String {
		var err error
		if n, err = strconv.Atoi(port.StrVal); err != nil {
			n = 0
			for _, p := range c.Ports {
				if p.Name == port.StrVal {
					n = int(p.ContainerPort)
				}
			}
		}
	}
	if n < 1 || n > 65535 {
		return "", fmt.Errorf("readinessProbe: %q is neither a port nor the name of one of the container's", port.String())
	}
	return net.JoinHostPort(host, strconv.Itoa(n)), nil
}

func seconds(n, byDefault int32) time.Duration {
	if n <= 0 {
		n = byDefault
	}
	return time.Duration(n) * time.Second
}

// attend tells, once a daemon's container has started and passes its readinessProbe, that it is
// ready. Nothing ends a daemon for not being ready, however often it is asked.
func (p *pod) attend(c *corev1.Container) (func(ctx context.Context, a *sandbox.Attended), error) {
	ask, err := p.e.readiness(c)
	if err != nil {
		return nil, worker.Faultf(worker.ClassInvalid, "template %q: %w", p.s.Template.Name, err)
	}
	return func(ctx context.Context, a *sandbox.Attended) {
		started := workflow.At(time.Now())
		if ask != nil && !p.awaitReady(ctx, c.ReadinessProbe, func() error { return ask(ctx, a) }) {
			return
		}
		p.s.Ready(ctx, workflow.Ready{Address: p.e.address, Host: p.e.host, Started: started})
	}, nil
}

// awaitReady asks until the container is ready; false: it has ended before.
func (p *pod) awaitReady(ctx context.Context, r *corev1.Probe, ask func() error) bool {
	every, wanted := seconds(r.PeriodSeconds, 10), max(1, int(r.SuccessThreshold))
	wait := time.Duration(r.InitialDelaySeconds) * time.Second
	for passed := 0; ; wait = every {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(wait):
		}
		if err := ask(); err != nil {
			p.e.log.DebugContext(ctx, "daemon is not ready", "hop", "execute", "run", p.s.Run.ID, "node", string(p.s.Key), "err", err)
			passed = 0
			continue
		}
		if passed++; passed >= wanted {
			return true
		}
	}
}
