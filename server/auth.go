package server

import (
	"bufio"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Auth decides who may speak to the server.
type Auth struct {
	tokens     [][sha256.Size]byte
	allowAny   bool
	crossSites *http.CrossOriginProtection
}

// NewAuth accepts the bearers of the tokens. Without any token everybody is accepted, which
// is meant for a loopback address only: see RequireLoopback.
func NewAuth(tokens []string) *Auth {
	a := &Auth{allowAny: len(tokens) == 0, crossSites: http.NewCrossOriginProtection()}
	for _, t := range tokens {
		a.tokens = append(a.tokens, sha256.Sum256([]byte(t)))
	}
	return a
}

// ReadTokens reads one token per line; empty lines and lines that start with # are skipped.
func ReadTokens(r io.Reader) ([]string, error) {
	var tokens []string
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if t := strings.TrimSpace(lines.Text()); t != "" && !strings.HasPrefix(t, "#") {
			tokens = append(tokens, t)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading tokens: %w", err)
	}
	if len(tokens) == 0 {
		return nil, errors.New("reading tokens: the file holds none")
	}
	return tokens, nil
}

// RequireLoopback refuses an address that others can reach when no tokens are configured:
// whoever may submit may run commands.
func (a *Auth) RequireLoopback(addr string) error {
	if !a.allowAny {
		return nil
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("reading the address to listen on: %w", err)
	}
	if !loopback(host) {
		return fmt.Errorf("listening on %s needs --token-file: without tokens anybody who reaches the port can run commands", addr)
	}
	return nil
}

// check is nil when the request may go on.
func (a *Auth) check(r *http.Request) *Error {
	if a.allowAny {
		return a.checkBrowser(r)
	}
	token := r.Header.Get("Authorization")
	if token == "" {
		// EventSource and download links cannot set headers.
		if c, err := r.Cookie("authorization"); err == nil {
			token = c.Value
			if err := a.crossSites.Check(r); err != nil {
				return errorf(CodeForbidden, "%v", err)
			}
		}
	}
	token = strings.TrimSpace(strings.TrimPrefix(token, "Bearer "))
	sum := sha256.Sum256([]byte(token))
	ok := 0
	for i := range a.tokens {
		ok |= subtle.ConstantTimeCompare(sum[:], a.tokens[i][:])
	}
	if ok == 0 {
		return errorf(CodeUnauthenticated, "token not valid. see https://argo-workflows.readthedocs.io/en/latest/faq/")
	}
	return nil
}

// checkBrowser keeps web pages away from an open server on loopback: a page of another
// origin may not write, and a name that was made to point at 127.0.0.1 may not read.
func (a *Auth) checkBrowser(r *http.Request) *Error {
	if err := a.crossSites.Check(r); err != nil {
		return errorf(CodeForbidden, "%v", err)
	}
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if local == nil || !loopback(hostOf(local.String())) {
		return nil
	}
	if host := hostOf(r.Host); !loopback(host) {
		return errorf(CodeForbidden, "host %q is not this server: without tokens it answers to localhost only", host)
	}
	return nil
}

func hostOf(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.Trim(hostport, "[]")
}

func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
