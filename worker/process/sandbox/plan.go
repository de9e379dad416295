package sandbox

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
)

// mountPoint is one line of mountinfo.
type mountPoint struct {
	path   string
	fstype string
	ro     bool
}

// parseMountInfo reads /proc/*/mountinfo.
func parseMountInfo(r io.Reader) ([]mountPoint, error) {
	var mounts []mountPoint
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		sep := slices.Index(fields, "-")
		if sep < 6 || sep+1 >= len(fields) {
			return nil, fmt.Errorf("mountinfo line %q has an unknown form", lines.Text())
		}
		mounts = append(mounts, mountPoint{
			path:   unescapeMount(fields[4]),
			fstype: fields[sep+1],
			ro:     slices.Contains(strings.Split(fields[5], ","), "ro"),
		})
	}
	return mounts, lines.Err()
}

// unescapeMount undoes the kernel's octal escapes (\040 for a space and so on).
func unescapeMount(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if v, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(v))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// within says that p is dir or below it.
func within(p, dir string) bool {
	return p == dir || dir == "/" || strings.HasPrefix(p, dir+"/")
}

// private lists what a step never sees of the host: the helper mounts its own there.
func private(p string) bool {
	for _, dir := range []string{"/proc", "/sys", "/dev", "/tmp"} {
		if within(p, dir) {
			return true
		}
	}
	return false
}

// carriesFiles tells file systems that hold a host's files from those that show the
// kernel's state and from those that another container engine stacks for its own use.
func carriesFiles(m mountPoint) bool {
	switch m.fstype {
	case "ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "bcachefs", "jfs", "reiserfs",
		"vfat", "exfat", "ntfs3", "iso9660", "squashfs", "erofs", "nfs", "nfs4", "cifs", "smb3",
		"ceph", "9p", "virtiofs", "fuse.sshfs", "fuseblk", "vboxsf", "drvfs":
		return true
	case "tmpfs", "ramfs":
		// /run and a tmpfs that someone mounted; not the per-service ones below /run.
		return !strings.HasPrefix(m.path, "/run/")
	}
	return false
}

type layerKind int

const (
	layerOverlay  layerKind = iota // private writable view of a host directory
	layerReadOnly                  // the host's directory with all mounts below it, read-only
	layerDir                       // an empty private directory
	layerLink                      // a symbolic link
)

// layer is one part of a step's root.
type layer struct {
	kind   layerKind
	target string // where in the step's root
	link   string // layerLink: what it points to
	mode   os.FileMode
	uid    int
	gid    int
}

// planWhole lays one overlay over the host's root and one over each other mount that holds
// files. It is the cheapest layout; the kernel allows it to a privileged helper only.
func planWhole(mounts []mountPoint) []layer {
	layers := []layer{{kind: layerOverlay, target: "/"}}
	seen := map[string]bool{"/": true}
	for _, m := range mounts {
		if seen[m.path] || private(m.path) || !carriesFiles(m) {
			continue
		}
		seen[m.path] = true
		kind := layerOverlay
		if m.ro {
			kind = layerReadOnly
		}
		layers = append(layers, layer{kind: kind, target: m.path})
	}
	// A mount below another one must come after it.
	slices.SortStableFunc(layers, func(a, b layer) int { return strings.Compare(a.target, b.target) })
	return layers
}

// maxSplit bounds how many overlays one directory with mounts inside may turn into: each
// costs every step a mount.
const maxSplit = 24

// planSplit builds the root from an empty directory with one overlay for each top-level
// directory: what the kernel allows in a user namespace, where mounts that came from
// outside are locked together and a directory that holds one cannot be an overlay's lower.
// Such a directory is split further, or shown read-only when it has too many entries.
func planSplit(hostRoot string, mounts []mountPoint, canRead func(string) bool) ([]layer, error) {
	var layers []layer
	var split func(dir string, depth int) error
	split = func(dir string, depth int) error {
		entries, err := os.ReadDir(path.Join(hostRoot, dir))
		if err != nil {
			return fmt.Errorf("reading %s: %w", dir, err)
		}
		for _, e := range entries {
			target := path.Join(dir, e.Name())
			if private(target) {
				continue
			}
			host := path.Join(hostRoot, target)
			switch {
			case e.Type()&os.ModeSymlink != 0:
				to, err := os.Readlink(host)
				if err != nil {
					return fmt.Errorf("reading the link %s: %w", target, err)
				}
				layers = append(layers, layer{kind: layerLink, target: target, link: to})
			case !e.IsDir():
				// A plain file at the top is no tool, and a bind of it would be the host's own.
			case !canRead(host):
				layers = append(layers, layer{kind: layerDir, target: target, mode: 0o755})
			case !slices.ContainsFunc(mounts, func(m mountPoint) bool { return within(m.path, target) && m.path != target }):
				layers = append(layers, layer{kind: layerOverlay, target: target})
			default:
				below, err := os.ReadDir(host)
				if err != nil {
					return fmt.Errorf("reading %s: %w", target, err)
				}
				if len(below) > maxSplit || depth >= 4 {
					layers = append(layers, layer{kind: layerReadOnly, target: target})
					continue
				}
				layers = append(layers, layer{kind: layerDir, target: target, mode: 0o755})
				if err := split(target, depth+1); err != nil {
					return err
				}
			}
		}
		return nil
	}
	if err := split("/", 0); err != nil {
		return nil, err
	}
	return append(layers, layer{kind: layerDir, target: "/tmp", mode: 0o1777}), nil
}
