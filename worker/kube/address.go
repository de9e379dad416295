package kube

import (
	"context"
	"fmt"
	"net"
	"net/url"
)

// LocalAddress is this machine's address on the way to the API server: for a worker outside
// of the cluster the one where pods are most likely to reach it.
func LocalAddress(ctx context.Context, apiServer string) (string, error) {
	u, err := url.Parse(apiServer)
	if err != nil {
		return "", fmt.Errorf("reading the API server's address: %w", err)
	}
	port := u.Port()
	if port == "" {
		port = "443"
	}
	// Nothing is sent: for UDP, to dial is to choose a route.
	conn, err := (&net.Dialer{}).DialContext(ctx, "udp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return "", fmt.Errorf("finding the way to the API server: %w", err)
	}
	defer conn.Close()
	host, _, err := net.SplitHostPort(conn.LocalAddr().String())
	if err != nil {
		return "", fmt.Errorf("reading the local address: %w", err)
	}
	return host, nil
}
