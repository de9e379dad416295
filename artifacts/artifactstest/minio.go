package artifactstest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"argosy/artifacts"
)

// MinIO is a server of its own for a test, gone when the test ends.
type MinIO struct {
	endpoint string
	home     string
	tls      *tls.Config // of clients; nil: plain http
	buckets  atomic.Int64
	stop     func()
}

// KMSKey is a key that the server's key management has.
const KMSKey = "argosytest-key"

const account, secret = "argosytest", "argosytest-secret"

// StartMinIO starts a server.
func StartMinIO(t *testing.T) *MinIO {
	t.Helper()
	return startMinIO(t, false)
}

// StartSecureMinIO starts one that is reached by https alone.
func StartSecureMinIO(t *testing.T) *MinIO {
	t.Helper()
	return startMinIO(t, true)
}

func startMinIO(t *testing.T, secure bool) *MinIO {
	t.Helper()
	binary := MinIOBinary(t)
	// A port that was free a moment ago may be taken when the server wants it.
	m := &MinIO{home: t.TempDir(), stop: func() {}}
	t.Cleanup(func() { m.stop() })
	if secure {
		m.certify(t)
	}
	for attempt := 0; ; attempt++ {
		err := m.find()
		if err == nil {
			err = m.start(t, binary)
		}
		if err == nil {
			return m
		}
		if attempt == 3 {
			t.Fatalf("starting MinIO: %v", err)
		}
	}
}

// Bucket is the configuration of a bucket that no one else uses.
func (m *MinIO) Bucket() artifacts.S3Config {
	cfg := artifacts.S3Config{
		Endpoint: m.endpoint, Insecure: m.tls == nil, Bucket: fmt.Sprintf("bucket-%d", m.buckets.Add(1)),
		AccessKey: account, SecretKey: secret,
	}
	if m.tls != nil {
		cfg.Transport = &http.Transport{TLSClientConfig: m.tls}
	}
	return cfg
}

// certify gives the server the certificate that tests have for 127.0.0.1.
func (m *MinIO) certify(t *testing.T) {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	m.tls = &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	m.tls.RootCAs.AddCert(s.Certificate())
	certificate := s.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(m.home, "certs")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"public.crt": {Type: "CERTIFICATE", Bytes: certificate.Certificate[0]}, "private.key": {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// Environment is how a bucket is named to Argosy's commands.
func (m *MinIO) Environment() []string {
	b := m.Bucket()
	return []string{
		"ARGOSY_S3_ENDPOINT=" + b.Endpoint, "ARGOSY_S3_INSECURE=true", "ARGOSY_S3_BUCKET=" + b.Bucket,
		"ARGOSY_S3_ACCESS_KEY=" + b.AccessKey, "ARGOSY_S3_SECRET_KEY=" + b.SecretKey,
	}
}

// Kill ends the server with -9.
func (m *MinIO) Kill() { m.stop() }

// Restart starts it again where it was.
func (m *MinIO) Restart(t *testing.T) {
	t.Helper()
	if err := m.start(t, MinIOBinary(t)); err != nil {
		t.Fatalf("starting MinIO again: %v", err)
	}
}

// MinIOBinary is the path of the server. Without it the test fails and says how to get it: a
// suite that skips its real half has not passed.
func MinIOBinary(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("ARGOSY_MINIO_BIN"); path != "" {
		return path
	}
	var found []string
	if cache, err := os.UserCacheDir(); err == nil {
		for _, pattern := range []string{"*/minio", "*/bin/minio"} {
			matches, _ := filepath.Glob(filepath.Join(cache, "argosy", "minio", pattern))
			for _, match := range matches {
				if info, err := os.Stat(match); err == nil && info.Mode().IsRegular() {
					found = append(found, match)
				}
			}
		}
	}
	if len(found) == 0 {
		t.Fatal("no MinIO server: run make deps, or set ARGOSY_MINIO_BIN")
	}
	return slices.Max(found) // the directories begin with the version's date
}

// find finds a port for the server.
func (m *MinIO) find() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	m.endpoint = listener.Addr().String()
	return listener.Close()
}

func (m *MinIO) start(t *testing.T, binary string) error {
	t.Helper()
	var output strings.Builder
	server := exec.Command(binary, "server", "--quiet", "--address", m.endpoint, "--console-address", "127.0.0.1:0",
		"--certs-dir", filepath.Join(m.home, "certs"), filepath.Join(m.home, "data"))
	server.Env = append(os.Environ(), "MINIO_ROOT_USER="+account, "MINIO_ROOT_PASSWORD="+secret, "HOME="+m.home,
		"MINIO_KMS_SECRET_KEY="+KMSKey+":"+base64.StdEncoding.EncodeToString([]byte("a key that is 32 bytes long here")),
		"MINIO_BROWSER=off", "MINIO_UPDATE=off", "MINIO_API_REQUESTS_MAX=1000", "CI=true", "GOMAXPROCS=2")
	server.Stdout, server.Stderr = &output, &output
	if err := server.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Wait() }()
	m.stop = sync.OnceFunc(func() {
		_ = server.Process.Kill()
		<-ended
	})
	if err := m.healthy(t.Context(), ended); err != nil {
		m.stop()
		return fmt.Errorf("%w\n%s", err, output.String())
	}
	return nil
}

func (m *MinIO) healthy(ctx context.Context, ended chan error) error {
	client, scheme := http.DefaultClient, "http://"
	if m.tls != nil {
		client, scheme = &http.Client{Transport: &http.Transport{TLSClientConfig: m.tls}}, "https://"
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+m.endpoint+"/minio/health/ready", nil)
		if err != nil {
			return err
		}
		if response, err := client.Do(request); err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case err := <-ended:
			ended <- err
			return fmt.Errorf("the server ended: %w", err)
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
