package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
)

// machine is where a result was taken, and of what.
type machine struct {
	CPU      string  `json:"cpu"`
	Cores    int     `json:"cores"`
	MemoryGB float64 `json:"memoryGB"`
	Kernel   string  `json:"kernel"`
	Go       string  `json:"go"`
	Redis    string  `json:"redis"`
	// RedisConfig is what Redis is started with, in every row.
	RedisConfig []string `json:"redisConfig"`

	commit string
}

func describeMachine(ctx context.Context) (machine, error) {
	m := machine{Cores: runtime.NumCPU(), Go: runtime.Version(), RedisConfig: redisConfig}
	m.CPU = procField("/proc/cpuinfo", "model name")
	kilobytes, err := strconv.ParseFloat(strings.TrimSuffix(procField("/proc/meminfo", "MemTotal"), " kB"), 64)
	if err != nil {
		return m, fmt.Errorf("reading the memory's size: %w", err)
	}
	m.MemoryGB = round(kilobytes / (1 << 20))
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return m, fmt.Errorf("reading the kernel's version: %w", err)
	}
	m.Kernel = strings.TrimSpace(string(kernel))
	said, err := exec.CommandContext(ctx, "redis-server", "--version").Output()
	if err != nil {
		return m, fmt.Errorf("asking redis-server (run make deps): %w", err)
	}
	if found := regexp.MustCompile(`v=(\S+)`).FindSubmatch(said); found != nil {
		m.Redis = string(found[1])
	}
	m.commit, err = commit(ctx)
	return m, err
}

// loadAverage is that of the last minute. Before a row, above 0.5 says that others were at work.
func loadAverage() (load float64, err error) {
	text, err := os.ReadFile("/proc/loadavg")
	if err == nil {
		_, err = fmt.Sscan(string(text), &load)
	}
	if err != nil {
		return 0, fmt.Errorf("reading the load: %w", err)
	}
	return load, nil
}

// procField gives the first field of that name in a file of /proc.
func procField(path, name string) string {
	body, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	for lines := bufio.NewScanner(bytes.NewReader(body)); lines.Scan(); {
		field, value, found := strings.Cut(lines.Text(), ":")
		if found && strings.TrimSpace(field) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// commit names the commit; results written by earlier rows do not make the tree dirty.
func commit(ctx context.Context) (string, error) {
	head, err := exec.CommandContext(ctx, "git", "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		return "", fmt.Errorf("asking git for the commit: %w", err)
	}
	name := strings.TrimSpace(string(head))
	changed, err := exec.CommandContext(ctx, "git", "status", "--porcelain", "--", ".", ":!loadtest/results").Output()
	if err != nil {
		return "", fmt.Errorf("asking git for changes: %w", err)
	}
	if len(bytes.TrimSpace(changed)) > 0 {
		name += "-dirty"
	}
	return name, nil
}
