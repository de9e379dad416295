// Package debian makes sure of the few programs taken from the distribution.
package debian

import (
	"context"
	"debug/elf"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
)

// tools maps a file the cluster needs to the Debian package that brings it.
var tools = []struct{ path, pkg string }{
	{"/usr/bin/containerd-shim-runc-v2", "containerd"},
	{"/usr/bin/ctr", "containerd"},
	{"/usr/sbin/runc", "runc"},
	{"/usr/lib/cni/bridge", "containernetworking-plugins"},
	{"/usr/lib/cni/host-local", "containernetworking-plugins"},
	{"/usr/sbin/iptables", "iptables"},
	{"/bin/busybox", "busybox-static"},
	{"/usr/sbin/ip", "iproute2"},
	{"/bin/mount", "mount"},
	{"/usr/bin/python3", "python3"},
}

// Missing lists the packages that still have to be installed.
func Missing() []string {
	var missing []string
	for _, tool := range tools {
		if !present(tool.path, tool.pkg) && !slices.Contains(missing, tool.pkg) {
			missing = append(missing, tool.pkg)
		}
	}
	return missing
}

// present looks for the file itself: a package can be there under another name. Only
// busybox exists in two kinds at one path, and images need the static one.
func present(path, pkg string) bool {
	if pkg != "busybox-static" {
		_, err := os.Stat(path)
		return err == nil
	}
	binary, err := elf.Open(path)
	if err != nil {
		return false
	}
	defer binary.Close()
	return binary.Section(".interp") == nil
}

// Ensure installs what is missing, and asks the package index nothing when nothing is.
func Ensure(ctx context.Context, log io.Writer) error {
	missing := Missing()
	if len(missing) == 0 {
		return nil
	}
	fmt.Fprintln(log, "installing Debian packages", missing)
	for _, args := range [][]string{
		{"update", "-q"},
		append([]string{"install", "-q", "-y", "--no-install-recommends"}, missing...),
	} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		cmd.Stdout, cmd.Stderr = log, log
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("running apt-get %s: %w", args[0], err)
		}
	}
	return nil
}
