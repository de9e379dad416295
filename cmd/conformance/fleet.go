package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"time"

	"argosy/server/client"
	"argosy/workflow/spec"
)

// fleet is `argosy up`, a process of its own.
type fleet struct {
	*client.Client
	namespace string
	cmd       *exec.Cmd
	log       *os.File
	ended     chan error
}

// slots of the fleet's worker: most steps of a test sleep.
const slots = 128

// startTime is how long a fleet may take to come up.
const startTime = time.Minute

var isUp = regexp.MustCompile(`argosy is up: .*--argosy-server (\S+)`)

func startFleet(ctx context.Context, s *settings, env *surroundings) (*fleet, error) {
	args := []string{"up", "--addr", "127.0.0.1:0", "--metrics-addr", "", "--executor", s.executor, "--slots", strconv.Itoa(slots), "--log-level", "warn"}
	if os.Getenv("ARGOSY_S3_ENDPOINT") == "" {
		args = append(args, "--artifacts", env.store)
	}
	if env.minio != nil {
		args = append(args, "--allow-local-addresses")
	}
	args = append(args, env.plugins.flags()...)
	switch s.executor {
	case "process":
		args = append(args, "--tools", env.tools(), "--images", filepath.Join(env.dir, "images.yaml"), "--grace", "5s")
	case "kubernetes":
		args = append(args, "--gateway-addr", ":0", "--namespace", s.namespace, "--images", filepath.Join(env.dir, "images.yaml"))
	}
	log, err := os.CreateTemp("", "argosy-conformance-*.log")
	if err != nil {
		return nil, err
	}
	// It ends by stop, not with ctx: what runs is to be cleaned up.
	f := &fleet{namespace: s.namespace, cmd: exec.Command(s.argosy, args...), log: log, ended: make(chan error, 1)} //nolint:noctx // see above
	f.cmd.Stderr = log
	f.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt is for us
	if err := f.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", s.argosy, err)
	}
	go func() { f.ended <- f.cmd.Wait() }()
	address, err := f.address(ctx)
	if err == nil {
		f.Client, err = client.New(address, "")
	}
	if err != nil {
		return nil, errors.Join(err, f.stop())
	}
	return f, nil
}

// address waits until the fleet has said where it listens.
func (f *fleet) address(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		text, err := os.Open(f.log.Name())
		if err != nil {
			return "", err
		}
		for lines := bufio.NewScanner(text); lines.Scan(); {
			if m := isUp.FindStringSubmatch(lines.Text()); m != nil {
				return m[1], text.Close()
			}
		}
		text.Close() //nolint:errcheck // it was only read
		select {
		case err := <-f.ended:
			f.ended <- err
			return "", fmt.Errorf("the fleet ended while starting, see %s: %w", f.log.Name(), err)
		case <-ctx.Done():
			return "", fmt.Errorf("the fleet does not come up, see %s: %w", f.log.Name(), ctx.Err())
		case <-look.C:
		}
	}
}

// stop ends the fleet. It keeps the fleet's log if that ended badly.
func (f *fleet) stop() error {
	const patience = 30 * time.Second
	f.cmd.Process.Signal(syscall.SIGTERM) //nolint:errcheck // it may have ended
	select {
	case err := <-f.ended:
		if err != nil {
			return fmt.Errorf("the fleet ended badly, see %s: %w", f.log.Name(), err)
		}
	case <-time.After(patience):
		f.cmd.Process.Kill() //nolint:errcheck // it may have ended
		return fmt.Errorf("the fleet did not end within %s, see %s", patience, f.log.Name())
	}
	return os.Remove(f.log.Name())
}

// load stores objects, which may refer to each other in any order, and tells which it could
// not.
func (f *fleet) load(ctx context.Context, objects []spec.Document) []string {
	for {
		var problems []string
		var left []spec.Document
		for i := range objects {
			d := &objects[i]
			switch d.Kind {
			case spec.KindWorkflowTemplate, spec.KindClusterWorkflowTemplate, spec.KindConfigMap, spec.KindSecret:
				if err := f.Create(ctx, d.Kind, f.namespace, d.JSON); err != nil {
					problems, left = append(problems, fmt.Sprintf("%s %s of %s: %v", d.Kind, objectName(d), d.File, err)), append(left, *d)
				}
			}
		}
		if len(left) == 0 || len(left) == len(objects) {
			return problems
		}
		objects = left
	}
}

// limit gives the semaphores of the database that a workflow names the limit that Argo's tests
// give theirs, unless they have one.
func (f *fleet) limit(ctx context.Context, wf *spec.Workflow) error {
	const database, limit = 1, 2
	all := []*spec.Synchronization{wf.Spec.Synchronization}
	for i := range wf.Spec.Templates {
		all = append(all, wf.Spec.Templates[i].Synchronization)
	}
	for _, s := range all {
		if s == nil {
			continue
		}
		for _, sem := range s.Semaphores {
			if sem == nil || sem.Database == nil {
				continue
			}
			_, err := f.CreateSyncLimit(ctx, client.SyncLimit{Namespace: f.namespace, Key: sem.Database.Key, Limit: limit, Type: database})
			var known *client.Error
			if err != nil && !(errors.As(err, &known) && known.Status == http.StatusConflict) {
				return fmt.Errorf("limiting semaphore %s: %w", sem.Database.Key, err)
			}
		}
	}
	return nil
}
