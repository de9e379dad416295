package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// What Argo's own tests have: where their MinIO is, its account and its buckets. Their secret
// my-minio-cred is in surroundings/objects.yaml.
const (
	minioName     = "minio:9000"
	minioAccount  = "admin"
	minioPassword = "password"
)

var minioBuckets = []string{"my-bucket", "my-bucket-2", "my-bucket-3"}

// minio is a server of S3 that workflows find under the name that Argo's tests have for it.
type minio struct {
	address string
	cmd     *exec.Cmd
	ended   chan error
}

// startMinIO starts one that keeps what it has in a directory.
func startMinIO(binary, dir string) (*minio, error) {
	port, err := freePort()
	if err != nil {
		return nil, fmt.Errorf("finding a port for MinIO: %w", err)
	}
	data := filepath.Join(dir, "minio")
	for _, bucket := range minioBuckets { // which a MinIO of one directory takes for buckets
		if err := os.MkdirAll(filepath.Join(data, bucket), 0o755); err != nil {
			return nil, err
		}
	}
	m := &minio{address: port, ended: make(chan error, 1)}
	var said bytes.Buffer
	// It ends by stop, when the workflows that use it have.
	m.cmd = exec.Command(binary, "server", "--quiet", "--address", m.address, "--console-address", "127.0.0.1:0", data) //nolint:noctx // see above
	m.cmd.Env = append(os.Environ(), "MINIO_ROOT_USER="+minioAccount, "MINIO_ROOT_PASSWORD="+minioPassword, "HOME="+dir,
		"MINIO_BROWSER=off", "MINIO_UPDATE=off")
	m.cmd.Stdout, m.cmd.Stderr = &said, &said
	if err := m.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting MinIO: %w", err)
	}
	go func() { m.ended <- m.cmd.Wait() }()
	if err := m.await(); err != nil {
		return nil, errors.Join(fmt.Errorf("starting MinIO: %w", err), m.stop(), errors.New(strings.TrimSpace(said.String())))
	}
	return m, nil
}

func freePort() (string, error) {
	var config net.ListenConfig
	l, err := config.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// await waits until it answers.
func (m *minio) await() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+m.address+"/minio/health/live", nil)
		if err != nil {
			return err
		}
		answer, err := http.DefaultClient.Do(request)
		if err == nil {
			answer.Body.Close() //nolint:errcheck // nothing of it is read
			if answer.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case err := <-m.ended:
			m.ended <- err
			return fmt.Errorf("it ended: %w", err)
		case <-ctx.Done():
			return ctx.Err()
		case <-look.C:
		}
	}
}

// inPlace has a document name this server where it names Argo's.
func (m *minio) inPlace(document []byte) []byte {
	if m == nil {
		return document
	}
	return bytes.ReplaceAll(document, []byte(minioName), []byte(m.address))
}

func (m *minio) stop() error {
	if m == nil {
		return nil
	}
	if err := m.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stopping MinIO: %w", err)
	}
	if err := <-m.ended; err != nil {
		if _, killed := errors.AsType[*exec.ExitError](err); !killed {
			return fmt.Errorf("stopping MinIO: %w", err)
		}
	}
	return nil
}
