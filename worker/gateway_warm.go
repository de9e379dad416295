package worker

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
	"time"

	"argosy/worker/handover"
)

// Own is where pods that stay reach this gateway and no other.
func (g *Gateway) Own() string { return g.cfg.Own }

// PodToken issues a token with which a pod that stays may ask for steps, once.
func (g *Gateway) PodToken(pod string, now time.Time) (string, error) {
	return g.cfg.Tokens.Issue(Grant{Pod: pod, Expires: now.Add(g.cfg.TokenTTL).Unix()})
}

// Admit lets a pod that stays in, once, until closing is called: serve gets its connection, and
// returns when that is over.
func (g *Gateway) Admit(pod string, serve func(*handover.Wire)) (closing func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pods[pod] = serve
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.pods, pod)
	}
}

// servePod is for a pod that asks for steps.
func (g *Gateway) servePod(w http.ResponseWriter, r *http.Request) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	grant, err := g.cfg.Tokens.Verify(token, time.Now())
	if err != nil || grant.Pod == "" {
		http.Error(w, ErrBadToken.Error(), http.StatusUnauthorized)
		return
	}
	log := g.log.With("hop", "execute", "pod", grant.Pod)
	if r.Header.Get("Upgrade") != handover.WarmProtocol {
		http.Error(w, "this worker speaks "+handover.WarmProtocol, http.StatusUpgradeRequired)
		return
	}
	g.mu.Lock()
	serve := g.pods[grant.Pod]
	delete(g.pods, grant.Pod) // another one with its token is an impostor
	g.mu.Unlock()
	if serve == nil {
		log.Warn("a pod was refused that is not waited for", "from", r.RemoteAddr)
		http.Error(w, "this worker does not wait for the pod", http.StatusConflict)
		return
	}
	wire, err := upgrade(w)
	if err != nil {
		log.Warn("a pod could not be let in", "err", err)
		return
	}
	defer wire.Close()
	serve(wire)
}

func upgrade(w http.ResponseWriter) (*handover.Wire, error) {
	conn, in, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, fmt.Errorf("taking the connection over: %w", err)
	}
	_, err = fmt.Fprintf(in, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", handover.WarmProtocol)
	if err == nil {
		err = in.Flush()
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("answering: %w", err)
	}
	return handover.NewWire(conn, bufio.NewReader(in)), conn.SetDeadline(time.Time{})
}
