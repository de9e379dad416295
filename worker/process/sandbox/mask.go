package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

func maskPath(i int) string { return "/mask/" + strconv.Itoa(i) }

// mask makes directories empty for every step at once: between an overlay's upper directory
// and the host's comes one of ours, in which they are marked opaque. That spares each step
// a mount for each of them. Only the whole layout can have it, for the mark takes privileges.
func (b *base) mask(dirs []string) error {
	b.masked = map[int]bool{}
	for _, dir := range dirs {
		// What is mounted there or below goes with it.
		b.layers = slices.DeleteFunc(b.layers, func(l layer) bool { return l.target != "/" && within(l.target, dir) })
	}
	for _, dir := range dirs {
		if dir != "/tmp" && within(dir, "/tmp") {
			continue // hidden with it
		}
		i := b.layerOf(dir)
		if b.layers[i].kind != layerOverlay {
			b.covered = append(b.covered, dir)
			continue
		}
		if err := b.maskDir(i, dir); err != nil {
			return fmt.Errorf("masking %s: %w", dir, err)
		}
		b.masked[i] = true
	}
	return nil
}

// layerOf returns the layer that holds a path.
func (b *base) layerOf(p string) int {
	best := 0
	for i, l := range b.layers {
		if within(p, l.target) && len(l.target) > len(b.layers[best].target) {
			best = i
		}
	}
	return best
}

// maskDir makes the directory in layer i's mask. Those above it are merged with the host's,
// and the topmost one's owner and mode are what a step sees, so they get the host's.
func (b *base) maskDir(i int, dir string) error {
	at, host := maskPath(i), path.Join("/host", b.layers[i].target)
	if err := mkdirLike(at, host); err != nil {
		return err
	}
	rel := strings.TrimPrefix(strings.TrimPrefix(dir, b.layers[i].target), "/")
	for name := range strings.SplitSeq(rel, "/") {
		at, host = path.Join(at, name), path.Join(host, name)
		if err := mkdirLike(at, host); err != nil {
			return err
		}
	}
	return unix.Setxattr(at, "trusted.overlay.opaque", []byte("y"), 0)
}

// mkdirLike makes a directory with the owner and mode of another, if there is that one.
func mkdirLike(p, model string) error {
	mode, uid, gid := os.FileMode(0o755), os.Geteuid(), os.Getegid()
	var st unix.Stat_t
	if err := unix.Lstat(model, &st); err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR {
		mode, uid, gid = os.FileMode(st.Mode&0o7777), int(st.Uid), int(st.Gid)
	}
	if err := mkdir(p, mode, uid, gid); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}
