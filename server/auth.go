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
	users      []User // of those tokens
	allowAny   bool
	crossSites *http.CrossOriginProtection
}

// NewAuth accepts the bearers of the tokens. Without any token everybody is accepted, which
// is meant for a loopback address only: see RequireLoopback.
func NewAuth(tokens []Token) *Auth {
	a := &Auth{allowAny: len(tokens) == 0, crossSites: http.NewCrossOriginProtection()}
	for _, t := range tokens {
		a.tokens, a.users = append(a.tokens, sha256.Sum256([]byte(t.Secret))), append(a.users, t.User)
	}
	return a
}

// ReadTokens reads one token per line, and whose it is: "TOKEN name=alice email=alice@example.com
// username=al". Empty lines and lines that start with # are skipped.
func ReadTokens(r io.Reader) ([]Token, error) {
	var tokens []Token
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		t, err := parseToken(text)
		if err != nil {
			return nil, fmt.Errorf("reading tokens: line %d: %w", n, err)
		}
		tokens = append(tokens, t)
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

// check says whose request it is, or why it may not go on.
func (a *Auth) check(r *http.Request) (User, *Error) {
	if a.allowAny {
		return User{}, a.checkBrowser(r)
	}
	token := r.Header.Get("Authorization")
	if token == "" {
		// EventSource and download links cannot set headers.
		if c, err := r.Cookie("authorization"); err == nil {
			token = c.Value
			if err := a.crossSites.Check(r); err != nil {
				return User{}, errorf(CodeForbidden, "%v", err)
			}
		}
	}
	token = strings.TrimSpace(strings.TrimPrefix(token, "Bearer "))
	sum := sha256.Sum256([]byte(token))
	found := -1
	for i := range a.tokens {
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(sum[:], a.tokens[i][:]), i, found)
	}
	if found < 0 {
		return User{}, errorf(CodeUnauthenticated, "token not valid. see https://argo-workflows.readthedocs.io/en/latest/faq/")
	}
	return a.users[found], nil
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
