package worker

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"strings"
	"time"

	"argosy/worker/handover"
)

// identity is the key that gateways show by TLS. It follows from the one that signs their tokens: all
// workers that take each other's tokens show the same, pods know it by its sum, and there are no
// certificates to hand out, to trust or to renew.
type identity struct {
	key ed25519.PrivateKey
	sum string // handover.KeySum
}

func newIdentity(tokenKey []byte) (identity, error) {
	seed, err := hkdf.Key(sha256.New, tokenKey, nil, "argosy gateway tls v1", ed25519.SeedSize)
	if err != nil {
		return identity{}, fmt.Errorf("deriving the gateway's key: %w", err)
	}
	key := ed25519.NewKeyFromSeed(seed)
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return identity{}, fmt.Errorf("encoding the gateway's key: %w", err)
	}
	return identity{key: key, sum: handover.KeySum(public)}, nil
}

// serverTLS shows the key in a certificate that it has signed itself.
func (i identity) serverTLS() (*tls.Config, error) {
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "argosy gateway"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), // RFC 5280: without end
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, i.key.Public(), i.key)
	if err != nil {
		return nil, fmt.Errorf("making the gateway's certificate: %w", err)
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"}, // a warm pod takes its connection over
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: i.key}},
	}, nil
}

// secure says that pods reach the gateway by TLS.
func (g *Gateway) secure() bool { return strings.HasPrefix(g.cfg.URL, "https://") }

// KeySum is what pods know the gateway by, as handover.KeySum has it; "" without TLS.
func (g *Gateway) KeySum() string {
	if !g.secure() {
		return ""
	}
	return g.cfg.Tokens.identity.sum
}
