// Package proc tells processes apart for good. A process id alone is re-used by the
// kernel; an id together with its start time and the boot it belongs to is not. So a
// process that an earlier, possibly killed, program started can be found and ended
// without ever touching a stranger.
package proc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Identity names one process, for as long as this machine exists.
type Identity struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks since boot
	Boot  string `json:"boot"`
}

const bootIDFile = "/proc/sys/kernel/random/boot_id"

// Of reads the identity of a process that is running now.
func Of(pid int) (Identity, error) {
	stat, err := readStat(pid)
	if err != nil {
		return Identity{}, fmt.Errorf("identifying process %d: %w", pid, err)
	}
	boot, err := os.ReadFile(bootIDFile)
	if err != nil {
		return Identity{}, fmt.Errorf("identifying process %d: %w", pid, err)
	}
	return Identity{PID: pid, Start: stat.start, Boot: strings.TrimSpace(string(boot))}, nil
}

// Alive says whether that very process is still running. A zombie is not.
func (id Identity) Alive() bool {
	now, err := Of(id.PID)
	if err != nil || now != id {
		return false
	}
	stat, err := readStat(id.PID)
	return err == nil && stat.state != 'Z' && stat.state != 'X'
}

// Kill ends that very process and waits until it is gone. That it is gone already is
// no error. The process is held by a handle before it is identified, so the signal
// cannot reach a later bearer of the same id.
func (id Identity) Kill(ctx context.Context) error {
	handle, err := os.FindProcess(id.PID)
	if err != nil {
		return fmt.Errorf("finding process %d: %w", id.PID, err)
	}
	defer func() { _ = handle.Release() }()
	if !id.Alive() {
		return nil
	}
	if err := handle.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("ending process %d: %w", id.PID, err)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for id.Alive() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for process %d to end: %w", id.PID, ctx.Err())
		case <-tick.C:
		}
	}
	return nil
}

// Save writes the identity where Load finds it, in one step.
func (id Identity) Save(path string) error {
	content, err := json.Marshal(id)
	if err != nil {
		return fmt.Errorf("encoding the identity of process %d: %w", id.PID, err)
	}
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, append(content, '\n'), 0o644); err != nil {
		return fmt.Errorf("writing pid file: %w", err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("writing pid file: %w", err)
	}
	return nil
}

// Load reads what Save wrote. A missing file gives os.ErrNotExist.
func Load(path string) (Identity, error) {
	var id Identity
	content, err := os.ReadFile(path)
	if err != nil {
		return id, fmt.Errorf("reading pid file: %w", err)
	}
	if err := json.Unmarshal(content, &id); err != nil {
		return id, fmt.Errorf("reading pid file %s: %w", path, err)
	}
	return id, nil
}

// WithEnv lists the running processes whose environment holds the given NAME=value.
func WithEnv(entry string) []Identity {
	var found []Identity
	for _, pid := range pids() {
		environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if err != nil {
			continue // gone, or not ours to read: not ours to end either
		}
		for _, have := range bytes.Split(environ, []byte{0}) {
			if string(have) == entry {
				if id, err := Of(pid); err == nil {
					found = append(found, id)
				}
				break
			}
		}
	}
	return found
}

// InNamespaceOf lists the processes that share pid's process namespace, by the name each
// was started under. Where a name occurs twice the older process counts.
func InNamespaceOf(pid int) map[string]Identity {
	byName := map[string]Identity{}
	home, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", pid))
	if err != nil {
		return byName
	}
	for _, other := range pids() {
		if ns, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", other)); err != nil || ns != home {
			continue
		}
		cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", other))
		if err != nil {
			continue
		}
		argv0, _, _ := bytes.Cut(cmdline, []byte{0})
		id, err := Of(other)
		if err != nil || !id.Alive() {
			continue
		}
		name := filepath.Base(string(argv0))
		if have, ok := byName[name]; !ok || id.Start < have.Start {
			byName[name] = id
		}
	}
	return byName
}

func pids() []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var all []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			all = append(all, pid)
		}
	}
	return all
}

type stat struct {
	state byte
	start uint64
}

func readStat(pid int) (stat, error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	return parseStat(string(content))
}

// parseStat takes the third and the twenty-second field of a /proc/<pid>/stat line. The
// second is the command in parentheses, and may itself hold spaces and parentheses.
func parseStat(line string) (stat, error) {
	const state, start = 3, 22
	end := strings.LastIndexByte(line, ')')
	if end < 0 {
		return stat{}, fmt.Errorf("no command in process status %q", line)
	}
	fields := strings.Fields(line[end+1:])
	if len(fields) <= start-state {
		return stat{}, fmt.Errorf("process status %q is cut short", line)
	}
	ticks, err := strconv.ParseUint(fields[start-state], 10, 64)
	if err != nil {
		return stat{}, fmt.Errorf("reading start time: %w", err)
	}
	return stat{state: fields[0][0], start: ticks}, nil
}
