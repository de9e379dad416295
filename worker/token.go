package worker

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"argosy/workflow"
)

// Grant is what a gateway token allows, for a time: staging one delivery's files; or, for a pod
// that stays, to ask once for steps to run.
type Grant struct {
	Pod      string       `json:"p,omitempty"`
	Run      string       `json:"r"`
	Key      workflow.Key `json:"k"`
	Delivery int          `json:"d"`
	Expires  int64        `json:"e"` // seconds since the epoch
}

// Tokens signs and checks gateway tokens. Workers that share the key accept each other's.
type Tokens struct {
	key      []byte
	identity identity
}

// minTokenKey is the shortest key that is accepted.
const minTokenKey = 32

// ErrBadToken says that a token is not ours, was altered, or has expired.
var ErrBadToken = errors.New("the token is not valid")

// NewTokens makes a signer over the shared key. Without one it draws a random key: then
// only this process accepts its tokens.
func NewTokens(key []byte) (*Tokens, error) {
	if len(key) == 0 {
		key = make([]byte, minTokenKey)
		if _, err := rand.Read(key); err != nil {
			return nil, fmt.Errorf("drawing a token key: %w", err)
		}
	}
	if len(key) < minTokenKey {
		return nil, fmt.Errorf("the gateway's token key has %d bytes; it needs at least %d", len(key), minTokenKey)
	}
	id, err := newIdentity(key)
	if err != nil {
		return nil, err
	}
	return &Tokens{key: key, identity: id}, nil
}

// Issue makes a token for the grant.
func (t *Tokens) Issue(g Grant) (string, error) {
	data, err := json.Marshal(g)
	if err != nil {
		return "", fmt.Errorf("encoding the grant: %w", err)
	}
	payload := base64.RawURLEncoding.EncodeToString(data)
	return payload + "." + base64.RawURLEncoding.EncodeToString(t.sign(payload)), nil
}

// Verify returns what a token grants. All reasons to refuse it look alike.
func (t *Tokens) Verify(token string, now time.Time) (Grant, error) {
	payload, mac, _ := strings.Cut(token, ".")
	sum, err := base64.RawURLEncoding.DecodeString(mac)
	if err != nil || !hmac.Equal(sum, t.sign(payload)) {
		return Grant{}, ErrBadToken
	}
	data, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return Grant{}, ErrBadToken
	}
	var g Grant
	if json.Unmarshal(data, &g) != nil || now.Unix() >= g.Expires {
		return Grant{}, ErrBadToken
	}
	return g, nil
}

func (t *Tokens) sign(payload string) []byte {
	h := hmac.New(sha256.New, t.key)
	h.Write([]byte("argosy gateway token v1\n"))
	h.Write([]byte(payload))
	return h.Sum(nil)
}
