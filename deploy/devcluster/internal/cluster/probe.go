package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// probe asks a program whether it does its work; nil means it does.
type probe func(ctx context.Context) error

const (
	probeTimeout  = 2 * time.Second
	probeInterval = 50 * time.Millisecond
)

// get wants a 200 from a health address. The programs sign their own certificates for
// those, and nothing secret passes, so they are not verified.
func get(url string) probe {
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
		DisableKeepAlives: true,
	}}
	return func(ctx context.Context) error {
		_, err := fetch(ctx, client, url)
		return err
	}
}

// dial wants someone to listen at a socket.
func dial(socket string) probe {
	return func(ctx context.Context) error {
		conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
		if err != nil {
			return err
		}
		return conn.Close()
	}
}

// api wants a 200 from the API server, as the admin.
func api(path string) probe {
	return func(ctx context.Context) error {
		_, err := fetchAPI(ctx, path)
		return err
	}
}

// nodeReady wants the scheduler to be able to use the node.
func nodeReady(ctx context.Context) error {
	body, err := fetchAPI(ctx, "/api/v1/nodes/"+nodeName)
	if err != nil {
		return err
	}
	var node struct {
		Status struct {
			Conditions []struct{ Type, Status, Message string }
		}
	}
	if err := json.Unmarshal(body, &node); err != nil {
		return fmt.Errorf("reading the node: %w", err)
	}
	for _, c := range node.Status.Conditions {
		if c.Type == "Ready" && c.Status == "True" {
			return nil
		}
		if c.Type == "Ready" {
			return fmt.Errorf("node is not ready: %s", c.Message)
		}
	}
	return errors.New("node has not reported yet")
}

// usable wants the things made by controllers without which the first pod is refused.
func usable(ctx context.Context) error {
	return allOf(
		api("/api/v1/namespaces/default/serviceaccounts/default"),
		api("/api/v1/namespaces/default/configmaps/kube-root-ca.crt"),
	)(ctx)
}

func allOf(probes ...probe) probe {
	return func(ctx context.Context) error {
		for _, p := range probes {
			if err := p(ctx); err != nil {
				return err
			}
		}
		return nil
	}
}

// await repeats a probe until it passes. The error names the last refusal, not only
// that time ran out.
func await(ctx context.Context, what string, p probe) error {
	tick := time.NewTicker(probeInterval)
	defer tick.Stop()
	for {
		err := once(ctx, p)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w (last: %w)", what, context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}

func once(ctx context.Context, p probe) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	return p(ctx)
}

func fetchAPI(ctx context.Context, path string) ([]byte, error) {
	client, err := admin()
	if err != nil {
		return nil, err
	}
	return fetch(ctx, client, apiServer+path)
}

// admin talks to the API server with every right.
func admin() (*http.Client, error) {
	cert, err := tls.LoadX509KeyPair(filepath.Join(pkiDir, "admin.crt"), filepath.Join(pkiDir, "admin.key"))
	if err != nil {
		return nil, fmt.Errorf("reading the admin's certificate: %w", err)
	}
	ca, err := os.ReadFile(filepath.Join(pkiDir, "ca.crt"))
	if err != nil {
		return nil, fmt.Errorf("reading the authority: %w", err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: pool},
		DisableKeepAlives: true,
	}}, nil
}

func fetch(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", url, err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s: %s", url, resp.Status, firstLine(body))
	}
	return body, nil
}

func firstLine(body []byte) string {
	line, _, _ := strings.Cut(string(body), "\n")
	return line[:min(len(line), 200)]
}
