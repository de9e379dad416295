package cluster

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestEveryComponentWaitsOnlyForEarlierOnes(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]plan{"all": {}, "MinIO only": {MinIOOnly: true}} {
		earlier := map[string]bool{}
		for _, c := range components(p) {
			for _, wanted := range c.after {
				if !earlier[wanted] {
					t.Errorf("%s: %s waits for %s, which is not started before it", name, c.name, wanted)
				}
			}
			if c.probe == nil {
				t.Errorf("%s: %s cannot be asked how it is", name, c.name)
			}
			earlier[c.name] = true
		}
		if !earlier["minio"] {
			t.Errorf("%s: no MinIO", name)
		}
	}
}

func TestComponentsAreConfiguredByFilesThatAreWritten(t *testing.T) {
	t.Parallel()
	written := configs()
	for _, c := range components(plan{}) {
		for _, arg := range c.args {
			i := strings.Index(arg, configDir+"/")
			if i < 0 || strings.HasSuffix(arg, ".kubeconfig") {
				continue
			}
			if name := arg[i+len(configDir)+1:]; written[name] == "" {
				t.Errorf("%s is told to read %s, which nobody writes", c.name, name)
			}
		}
	}
}

func TestConfigsLeaveNoVerbUnfilled(t *testing.T) {
	t.Parallel()
	for name, body := range configs() {
		if strings.Contains(body, "%!") {
			t.Errorf("%s: %s", name, body)
		}
		if strings.HasSuffix(name, "conflist") && !json.Valid([]byte(body)) {
			t.Errorf("%s is not JSON: %s", name, body)
		}
	}
}

func TestSocketPathsFitTheKernel(t *testing.T) {
	t.Parallel()
	const limit = 107
	if len(containerd) > limit {
		t.Errorf("%s is longer than %d bytes", containerd, limit)
	}
}

func TestCertificatesAreSignedForTheirUse(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	ca, err := newAuthority(t.TempDir(), now)
	if err != nil {
		t.Fatal(err)
	}
	err = ca.issue(identity{file: "server", user: "s", ips: nodeAddresses(), names: []string{"kubernetes"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := ca.issue(identity{file: "client", user: "me", groups: []string{"us"}}); err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	tests := []struct {
		file  string
		usage x509.ExtKeyUsage
		name  string
		ok    bool
	}{
		{"server", x509.ExtKeyUsageServerAuth, nodeIP, true},
		{"server", x509.ExtKeyUsageServerAuth, serviceIP, true},
		{"server", x509.ExtKeyUsageServerAuth, "kubernetes", true},
		{"server", x509.ExtKeyUsageServerAuth, "elsewhere", false},
		{"client", x509.ExtKeyUsageClientAuth, "", true},
		{"client", x509.ExtKeyUsageServerAuth, "", false},
	}
	for _, test := range tests {
		cert := readCert(t, filepath.Join(ca.dir, test.file+".crt"))
		_, err := cert.Verify(x509.VerifyOptions{
			Roots: roots, DNSName: test.name, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{test.usage},
		})
		if (err == nil) != test.ok {
			t.Errorf("%s for %q: %v", test.file, test.name, err)
		}
	}
	client := readCert(t, filepath.Join(ca.dir, "client.crt")).Subject
	if client.CommonName != "me" || client.Organization[0] != "us" {
		t.Errorf("the client is %s", client)
	}
}

func readCert(t *testing.T, path string) *x509.Certificate {
	t.Helper()
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(body)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestParseMount(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		line string
		want mountPoint
		ok   bool
	}{
		"cgroup":        {"36 25 0:31 / /sys/fs/cgroup/pids rw,relatime shared:9 - cgroup cgroup rw,pids", mountPoint{"/sys/fs/cgroup/pids", "cgroup"}, true},
		"no tags":       {"36 25 0:31 / /mnt rw - ext4 /dev/sda rw", mountPoint{"/mnt", "ext4"}, true},
		"space in path": {`36 25 0:31 / /a\040b rw - tmpfs tmpfs rw`, mountPoint{"/a b", "tmpfs"}, true},
		"cut short":     {"36 25 0:31", mountPoint{}, false},
	}
	for name, test := range tests {
		if got, ok := parseMount(test.line); got != test.want || ok != test.ok {
			t.Errorf("%s: got %+v, %v", name, got, ok)
		}
	}
}

func TestAwaitTellsTheLastRefusal(t *testing.T) {
	t.Parallel()
	refusal, stop := errors.New("not yet"), errors.New("the node ended")
	ctx, cancel := context.WithCancelCause(context.Background())
	err := await(ctx, "it", func(context.Context) error {
		cancel(stop)
		return refusal
	})
	if !errors.Is(err, refusal) || !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
}
