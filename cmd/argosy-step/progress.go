package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"argosy/worker/handover"
)

const (
	// lookProgress is how often the command's progress is looked at.
	lookProgress = 3 * time.Second
	// tellProgress is how long telling it may take.
	tellProgress = 10 * time.Second
)

// watchProgress tells what the command says of its progress while it runs, in the file that the
// environment that is returned names, until end is called, which returns what it said last. Of a
// container of a set nothing is told: the set is one step.
func (s step) watchProgress(ctx context.Context, g *gateway, set *set, env []string) (with []string, end func() string) {
	if set != nil {
		return env, func() string { return "" }
	}
	path, dir := "", ""
	for _, v := range env {
		if p, ok := strings.CutPrefix(v, handover.EnvProgress+"="); ok {
			path = p
		}
	}
	if path == "" {
		// Without a place to write, what writes it must not fail.
		path = os.DevNull
		var err error
		if dir, err = s.progressDir(); err == nil {
			path = filepath.Join(dir, "progress")
		}
		env = append(slices.Clip(env), handover.EnvProgress+"="+path)
	}
	ctx, cancel := context.WithCancel(ctx)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.tellProgress(ctx, g, path)
	}()
	return env, func() string {
		cancel()
		<-stopped
		last := lastLine(path)
		if dir != "" {
			_ = os.RemoveAll(dir) // it is in a directory for what nobody keeps
		}
		return last
	}
}

// shared is memory that every container has and may write to, whoever its user is.
const shared = "/dev/shm"

// progressDir makes a directory for the progress. What a step finds in /tmp is its own, so that it
// is there only where there is no other place.
func (s step) progressDir() (string, error) {
	const name = "step-progress-"
	if s.scratch != "" {
		return os.MkdirTemp(s.scratch, name)
	}
	dir, err := os.MkdirTemp(shared, name)
	if err != nil {
		dir, err = os.MkdirTemp("", name)
	}
	return dir, err
}

// tellProgress tells the gateway each new progress, until ctx ends or nobody wants to know.
func (s step) tellProgress(ctx context.Context, g *gateway, path string) {
	every := s.look
	if every == 0 {
		every = lookProgress
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	told := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		line := lastLine(path)
		if line == "" || line == told || g.url == "" {
			continue
		}
		switch err := g.tell(ctx, line); {
		case err == nil, errors.Is(err, errRefused):
			told = line // one that is none is not told again
		default: // the next look does
		}
	}
}

// tell tells the gateway the command's progress.
func (g *gateway) tell(ctx context.Context, line string) error {
	ctx, cancel := context.WithTimeout(ctx, tellProgress)
	defer cancel()
	resp, err := g.do(ctx, http.MethodPut, handover.PathTells, strings.NewReader(line))
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// lastLine is the last line of a file, "" if there is none.
func lastLine(path string) string {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // and not wait at a pipe
	if err != nil {
		return ""
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return ""
	}
	data, err := io.ReadAll(io.NewSectionReader(f, max(0, info.Size()-handover.MaxProgress), handover.MaxProgress))
	if err != nil {
		return ""
	}
	text := strings.TrimSpace(string(data))
	return strings.TrimSpace(text[strings.LastIndexByte(text, '\n')+1:])
}
