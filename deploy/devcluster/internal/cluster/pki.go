package cluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// authority signs the certificates of one cluster's life.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	now  time.Time
}

// identity is one certificate to be made: a server's when it has addresses.
type identity struct {
	file   string
	user   string
	groups []string
	ips    []net.IP
	names  []string
}

const lifetime = 365 * 24 * time.Hour

func newAuthority(dir string, now time.Time) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the authority's key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "argosy-devcluster"},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(lifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("signing the authority: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("reading the authority back: %w", err)
	}
	ca := &authority{dir: dir, cert: cert, key: key, now: now}
	return ca, ca.save("ca", der, key)
}

func (ca *authority) issue(id identity) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("making the key of %s: %w", id.file, err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return fmt.Errorf("drawing a serial number: %w", err)
	}
	usage := x509.ExtKeyUsageClientAuth
	if len(id.ips) > 0 {
		usage = x509.ExtKeyUsageServerAuth
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: id.user, Organization: id.groups},
		NotBefore:    ca.now.Add(-time.Hour),
		NotAfter:     ca.now.Add(lifetime),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{usage},
		IPAddresses:  id.ips,
		DNSNames:     id.names,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, key.Public(), ca.key)
	if err != nil {
		return fmt.Errorf("signing %s: %w", id.file, err)
	}
	return ca.save(id.file, der, key)
}

// nodeAddresses are all by which the API server is called.
func nodeAddresses() []net.IP {
	return []net.IP{net.ParseIP(nodeIP), net.ParseIP(serviceIP), net.ParseIP(uplinkIP), net.ParseIP("127.0.0.1")}
}

// save writes name.crt, name.key, and name.pub for what wants a bare public key.
func (ca *authority) save(name string, cert []byte, key *ecdsa.PrivateKey) error {
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encoding the key of %s: %w", name, err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return fmt.Errorf("encoding the key of %s: %w", name, err)
	}
	for _, f := range []struct {
		suffix, kind string
		body         []byte
	}{
		{".crt", "CERTIFICATE", cert},
		{".key", "PRIVATE KEY", private},
		{".pub", "PUBLIC KEY", public},
	} {
		body := pem.EncodeToMemory(&pem.Block{Type: f.kind, Bytes: f.body})
		if err := os.WriteFile(filepath.Join(ca.dir, name+f.suffix), body, 0o600); err != nil {
			return fmt.Errorf("writing the keys of %s: %w", name, err)
		}
	}
	return nil
}

// writePKI makes the authority, every program's certificate, and the kubeconfigs.
func writePKI(now time.Time) error {
	ca, err := newAuthority(pkiDir, now)
	if err != nil {
		return err
	}
	const masters = "system:masters"
	users := []identity{
		{file: "admin", user: "kubernetes-admin", groups: []string{masters}},
		{file: "controller-manager", user: "system:kube-controller-manager"},
		{file: "scheduler", user: "system:kube-scheduler"},
		{file: "kubelet", user: "system:node:" + nodeName, groups: []string{"system:nodes"}},
		{file: "proxy", user: "system:kube-proxy"},
		{file: "coredns", user: "coredns", groups: []string{masters}},
	}
	others := []identity{
		{file: "kubelet-client", user: "kube-apiserver", groups: []string{masters}},
		{file: "service-account", user: "service-account"},
		{
			file: "apiserver", user: "kube-apiserver",
			ips: nodeAddresses(),
			names: []string{
				"localhost", nodeName, "kubernetes", "kubernetes.default",
				"kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
			},
		},
	}
	for _, id := range append(others, users...) {
		if err := ca.issue(id); err != nil {
			return err
		}
	}
	for _, id := range users {
		path := filepath.Join(configDir, id.file+".kubeconfig")
		if id.file == "admin" {
			path = Kubeconfig
		}
		if err := writeKubeconfig(path, id.file); err != nil {
			return err
		}
	}
	return nil
}

// writeKubeconfig embeds the keys, so that the file works wherever it is copied.
func writeKubeconfig(path, user string) error {
	var data [3]string
	for i, name := range []string{"ca.crt", user + ".crt", user + ".key"} {
		body, err := os.ReadFile(filepath.Join(pkiDir, name))
		if err != nil {
			return fmt.Errorf("writing the kubeconfig of %s: %w", user, err)
		}
		data[i] = base64.StdEncoding.EncodeToString(body)
	}
	body := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters:
- name: argosy-dev
  cluster:
    server: %s
    certificate-authority-data: %s
users:
- name: %s
  user:
    client-certificate-data: %s
    client-key-data: %s
contexts:
- name: argosy-dev
  context:
    cluster: argosy-dev
    user: %s
current-context: argosy-dev
`, apiServer, data[0], user, data[1], data[2], user)
	if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
		return fmt.Errorf("writing the kubeconfig of %s: %w", user, err)
	}
	return nil
}
