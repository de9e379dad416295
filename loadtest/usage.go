package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// usage is what the fleet has used since it was started: with others at work on the machine
// it tells more than the time that was taken.
type usage struct {
	cpu      map[string]float64 // seconds, by process; "loadtest" is this one
	commands map[string]float64 // that Redis executed, in scripts too, by name
}

// clockTick is the unit of times in /proc.
const clockTick = 100

func (f *fleet) usage(ctx context.Context) (usage, error) {
	u := usage{cpu: map[string]float64{}}
	for _, p := range f.processes {
		seconds, err := cpuSeconds(p.cmd.Process.Pid)
		if err != nil {
			return u, fmt.Errorf("reading what %s has used: %w", p.name, err)
		}
		u.cpu[p.name] = seconds
	}
	var err error
	var self syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &self); err != nil {
		return u, fmt.Errorf("reading what this process has used: %w", err)
	}
	u.cpu["loadtest"] = time.Duration(self.Utime.Nano() + self.Stime.Nano()).Seconds()
	u.commands, err = f.commands(ctx)
	return u, err
}

// commands counts what Redis has executed, in scripts too, by name; "all" is the sum.
func (f *fleet) commands(ctx context.Context) (map[string]float64, error) {
	info, err := redisInfo(ctx, f.redis, "commandstats")
	if err != nil {
		return nil, err
	}
	commands := map[string]float64{}
	for name, stat := range info {
		calls, _, _ := strings.Cut(strings.TrimPrefix(stat, "calls="), ",")
		n, err := strconv.ParseFloat(calls, 64)
		if err != nil {
			return nil, fmt.Errorf("reading Redis's count of %s: %w", name, err)
		}
		commands[strings.TrimPrefix(name, "cmdstat_")] = n
		commands["all"] += n
	}
	return commands, nil
}

// cpuSeconds is the CPU that a process and its ended children have used.
func cpuSeconds(pid int) (float64, error) {
	body, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name, in parentheses, may have spaces; utime is the 12th field after it.
	_, rest, _ := strings.Cut(string(body), ") ")
	fields := strings.Fields(rest)
	ticks := 0.0
	for _, field := range fields[11:15] {
		n, err := strconv.ParseFloat(field, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return ticks / clockTick, nil
}

// machineCPU is the CPU that everything on this machine has used since it was started: with
// the cluster on it, what a loop costs its kubelet, containers and API server too.
func machineCPU() (time.Duration, error) {
	body, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, fmt.Errorf("reading what the machine has used: %w", err)
	}
	first, _, _ := strings.Cut(string(body), "\n")
	fields := strings.Fields(first) // cpu user nice system idle iowait irq softirq ..
	var ticks int64
	for i, field := range fields[1:8] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("reading what the machine has used: %w", err)
		}
		if i != 3 && i != 4 {
			ticks += n
		}
	}
	return time.Duration(ticks) * time.Second / clockTick, nil
}

// usedCPU is what everything on this machine uses while something is done.
func usedCPU(do func() error) (time.Duration, error) {
	before, err := machineCPU()
	if err != nil {
		return 0, err
	}
	if err := do(); err != nil {
		return 0, err
	}
	after, err := machineCPU()
	return after - before, err
}

// peakBytes is the most memory that a process had.
func (p *process) peakBytes() (float64, error) {
	kilobytes, err := strconv.ParseFloat(strings.TrimSuffix(procField(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid), "VmHWM"), " kB"), 64)
	if err != nil {
		return 0, fmt.Errorf("reading the memory of %s: %w", p.name, err)
	}
	return kilobytes * 1024, nil
}

// noteUsage notes what was used since, divided by n.
func (m *measurement) noteUsage(before, after usage, n float64) {
	for name, seconds := range after.cpu {
		m.note("cpu µs each: "+name, (seconds-before.cpu[name])*1e6/n)
	}
	for name, count := range after.commands {
		if each := (count - before.commands[name]) / n; each >= 0.05 {
			m.note("redis calls each: "+name, each)
		}
	}
}

// counter sums up a metric of the process over its labels.
func (p *process) counter(ctx context.Context, name string) (float64, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.monitor+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	r.Header.Set("Accept-Encoding", "identity") // to compress would cost the process more
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, fmt.Errorf("reading the metrics of %s: %w", p.name, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, fmt.Errorf("reading the metrics of %s: %w", p.name, err)
	}
	sum := 0.0
	for line := range strings.Lines(string(body)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if base, _, _ := strings.Cut(key, "{"); base != name {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return 0, fmt.Errorf("reading the metrics of %s: %w", p.name, err)
		}
		sum += n
	}
	return sum, nil
}

// settle waits until the machine has cleaned up after the pods before: their networks and cgroups are
// taken apart behind everyone's back. It also drops what the kernel remembers of files where it may,
// as whoever owns a node that is this machine: names of files that are gone make each next pod dearer.
func settle(ctx context.Context) error {
	syscall.Sync()
	err := os.WriteFile("/proc/sys/vm/drop_caches", []byte("2"), 0)
	if err != nil && !errors.Is(err, fs.ErrPermission) && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.EROFS) {
		return fmt.Errorf("dropping the kernel's caches: %w", err)
	}
	const look, calm, patience = time.Second, 0.3, 30 * time.Second // calm is in CPUs
	before, err := machineCPU()
	for end := time.Now().Add(patience); err == nil && time.Now().Before(end); {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(look):
		}
		var now time.Duration
		if now, err = machineCPU(); float64(now-before) < calm*float64(look) {
			break
		}
		before = now
	}
	return err
}
