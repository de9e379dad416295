// Package egress is how a worker reaches addresses that workflows name: the requests of http
// templates, and artifacts that lie elsewhere than in the fleet's own store.
//
// A worker stands where users do not: beside Redis, the store, and whatever listens on its
// machine or describes it to the programs there. So no connection goes to a loopback,
// link-local or unspecified address, nor to what the worker itself uses, unless it was told
// to allow that. Addresses are checked when a connection is made, after names were resolved,
// and for each redirect anew, so that no name leads around the check. Proxies of the
// environment are not used: behind one nobody could check.
package egress

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"syscall"
	"time"
)

// ErrRefused marks an address that a workflow may not reach.
var ErrRefused error = refused{}

type refused struct{}

func (refused) Error() string { return "workflows may not reach this address" }

// Permanent says that to try again makes no sense.
func (refused) Permanent() bool { return true }

// Guard makes connections for workflows.
type Guard struct {
	// Local allows every address.
	Local bool
	// Deny names what else is refused, as host:port: the fleet's own Redis and store.
	Deny []string
}

// Dial connects as net.Dialer does, if the address may be reached.
func (g *Guard) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}
	d.ControlContext = func(ctx context.Context, _, resolved string, _ syscall.RawConn) error {
		return g.Check(ctx, resolved)
	}
	return d.DialContext(ctx, network, address)
}

// Check says whether a resolved address, such as 10.0.0.1:80, may be reached.
func (g *Guard) Check(ctx context.Context, resolved string) error {
	if g.Local {
		return nil
	}
	to, err := netip.ParseAddrPort(resolved)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrRefused, resolved, err)
	}
	ip := to.Addr().Unmap()
	switch {
	case ip.IsLoopback(), ip.IsUnspecified():
		return fmt.Errorf("%w: %s is this machine; a worker with --allow-local-addresses does it", ErrRefused, ip)
	case ip.IsLinkLocalUnicast(), ip.IsMulticast(), ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return fmt.Errorf("%w: %s is link-local; a worker with --allow-local-addresses does it", ErrRefused, ip)
	}
	for _, own := range g.Deny {
		host, port, err := net.SplitHostPort(own)
		if err != nil || port != fmt.Sprint(to.Port()) {
			continue
		}
		found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		if err != nil {
			return fmt.Errorf("%w: resolving %s, which is refused: %w", ErrRefused, host, err)
		}
		if slices.ContainsFunc(found, func(a netip.Addr) bool { return a.Unmap() == ip }) {
			return fmt.Errorf("%w: %s is what the fleet itself uses", ErrRefused, to)
		}
	}
	return nil
}

// Transport makes requests through the guard. The certificates of servers are not looked at
// if insecure.
func (g *Guard) Transport(insecure bool) *http.Transport {
	return &http.Transport{
		DialContext:           g.Dial,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: insecure}, //nolint:gosec // the workflow's own choice
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          100,
		MaxIdleConnsPerHost:   8,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
	}
}
