package handover

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"encoding/base64"
	"errors"
)

// KeySum tells a gateway's key: the SHA-256 sum of the public key (a certificate's
// SubjectPublicKeyInfo), in base64, as RFC 7469 has it.
func KeySum(publicKey []byte) string {
	sum := sha256.Sum256(publicKey)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// errOtherKey says that what answers is not the gateway, whatever its certificate says.
var errOtherKey = errors.New("what answers at the gateway's address has another key than the gateway")

// ClientTLS is for connections to the gateway with a key of this sum. Names, dates and authorities
// of its certificate tell nothing more.
func ClientTLS(sum string) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		NextProtos:         []string{"http/1.1"}, // a warm pod takes its connection over
		InsecureSkipVerify: true,                 //nolint:gosec // VerifyConnection does
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 || subtle.ConstantTimeCompare([]byte(KeySum(s.PeerCertificates[0].RawSubjectPublicKeyInfo)), []byte(sum)) != 1 {
				return errOtherKey
			}
			return nil
		},
	}
}
