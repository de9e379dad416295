package cluster

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
)

// unmountState unmounts what someone mounted below the state folder on the host's side,
// so that removing the folder never reaches into another file system.
func unmountState() error {
	mounts, err := mountPoints()
	if err != nil {
		return err
	}
	slices.Reverse(mounts)
	for _, m := range mounts {
		if m.path == Root || strings.HasPrefix(m.path, Root+"/") {
			if err := syscall.Unmount(m.path, syscall.MNT_DETACH); err != nil {
				return fmt.Errorf("unmounting %s: %w", m.path, err)
			}
		}
	}
	return nil
}

type mountPoint struct{ path, kind string }

// mountPoints lists the host's mounts in the order they were made.
func mountPoints() ([]mountPoint, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("listing mounts: %w", err)
	}
	defer f.Close()
	var all []mountPoint
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if m, ok := parseMount(lines.Text()); ok {
			all = append(all, m)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("listing mounts: %w", err)
	}
	return all, nil
}

// parseMount reads a line of mountinfo: the fifth field is the path, with odd characters
// as octal escapes, and the kind of file system follows a lone dash.
func parseMount(line string) (mountPoint, bool) {
	before, after, ok := strings.Cut(line, " - ")
	fields, rest := strings.Fields(before), strings.Fields(after)
	if !ok || len(fields) < 5 || len(rest) < 1 {
		return mountPoint{}, false
	}
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	return mountPoint{path: unescape.Replace(fields[4]), kind: rest[0]}, true
}

// madeFile lists the mount points that were not there before us.
const madeFile = Root + ".made"

// makeMountPoint makes a folder for the node to mount over, and notes first that it is
// ours to remove.
func makeMountPoint(path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	f, err := os.OpenFile(madeFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("making %s: %w", path, err)
	}
	defer f.Close()
	if _, err := fmt.Fprintln(f, path); err != nil {
		return fmt.Errorf("making %s: %w", path, err)
	}
	if err := os.MkdirAll(path, 0o755); err != nil {
		return fmt.Errorf("making %s: %w", path, err)
	}
	return nil
}

// removeMountPoints removes those folders again, unless someone has begun to use them.
func removeMountPoints() error {
	made, err := os.ReadFile(madeFile)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("removing mount points: %w", err)
	}
	for path := range strings.Lines(string(made)) {
		err := syscall.Rmdir(strings.TrimSpace(path))
		if err != nil && !errors.Is(err, syscall.ENOENT) && !errors.Is(err, syscall.ENOTEMPTY) {
			return fmt.Errorf("removing mount point %s: %w", path, err)
		}
	}
	if err := os.Remove(madeFile); err != nil {
		return fmt.Errorf("removing mount points: %w", err)
	}
	return nil
}
