package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// Mount is a volume at a place of the step's root: a subdirectory of Config.Volumes, or what
// is in it at SubPath, which becomes a directory where there is nothing.
type Mount struct {
	Volume   string `json:"v"` // relative to Config.Volumes
	SubPath  string `json:"s,omitempty"`
	At       string `json:"a"` // absolute
	ReadOnly bool   `json:"r,omitempty"`
}

// layVolume mounts a volume. What is in it other steps may have written: no link of theirs
// leads out of it.
func layVolume(m *Mount) error {
	if !filepath.IsLocal(m.Volume) {
		return fmt.Errorf("%q is not below the directory of volumes", m.Volume)
	}
	root, err := os.OpenRoot(path.Join("/volumes", m.Volume))
	if err != nil {
		return err
	}
	defer root.Close()
	sub := path.Clean("./" + m.SubPath)
	info, err := root.Stat(sub)
	if errors.Is(err, fs.ErrNotExist) {
		if err = root.MkdirAll(sub, 0o777); err == nil {
			info, err = root.Stat(sub)
		}
	}
	if err != nil {
		return err
	}
	dir, err := root.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	from, err := unix.Openat2(int(dir.Fd()), sub, &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return &fs.PathError{Op: "open", Path: sub, Err: err}
	}
	defer unix.Close(from)
	at := path.Join("/step", m.At)
	if !info.IsDir() {
		if err := makeFile(at); err != nil {
			return err
		}
	}
	// The helper's own proc has the helper's descriptors; the step's was moved already.
	source := "/step/proc/self/fd/" + strconv.Itoa(from)
	if err := mountpoint(at, func(at string) error { return unix.Mount(source, at, "", unix.MS_BIND, "") }); err != nil {
		return err
	}
	set := uint64(unix.MOUNT_ATTR_NODEV)
	if m.ReadOnly {
		set |= unix.MOUNT_ATTR_RDONLY
	}
	return mountAttr(at, false, set, 0)
}

// makeFile makes an empty file for another to be mounted on.
func makeFile(at string) error {
	if err := os.MkdirAll(path.Dir(at), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(at, os.O_CREATE|os.O_RDONLY, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}
