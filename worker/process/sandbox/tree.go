package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// scratchPath is where step seq writes.
func (b *base) scratchPath(seq uint32, name string) string {
	if b.cfg.Scratch == "" {
		return "/scratch/" + name
	}
	return "/scratch/" + strconv.FormatUint(uint64(seq), 10) + "/" + name
}

// openScratch gives a step its own place to write: a tmpfs, which bounds what it may take
// of the memory and vanishes with the namespace, or a directory on disk.
func (b *base) openScratch(seq uint32) error {
	if b.cfg.Scratch == "" {
		return unix.Mount("argosy", "/scratch", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, b.cfg.tmpfsOptions())
	}
	return os.Mkdir(b.scratchPath(seq, ""), 0o700)
}

// closeScratch removes what openScratch made. A tmpfs that belongs to a step's namespace
// has gone with it.
func (b *base) closeScratch(seq uint32) error {
	if b.cfg.Scratch != "" {
		return os.RemoveAll(b.scratchPath(seq, ""))
	}
	if seq == 0 {
		return unix.Unmount("/scratch", unix.MNT_DETACH)
	}
	return nil
}

// mkdir makes a directory with exactly this mode and owner.
func mkdir(p string, mode os.FileMode, uid, gid int) error {
	if err := unix.Mkdir(p, uint32(mode.Perm())); err != nil {
		return err
	}
	if mode&^0o755 != 0 {
		if err := unix.Chmod(p, uint32(mode&0o7777)); err != nil {
			return err
		}
	}
	if uid == os.Geteuid() && gid == os.Getegid() {
		return nil
	}
	// An owner that the user namespace does not know cannot be given, and need not be.
	if err := unix.Lchown(p, uid, gid); err != nil && !errors.Is(err, unix.EINVAL) {
		return err
	}
	return nil
}

// mountOverlay puts layer i of step seq at a directory.
func (b *base) mountOverlay(seq uint32, i int, l layer, at string) error {
	upper := b.scratchPath(seq, "u"+strconv.Itoa(i))
	work := b.scratchPath(seq, "w"+strconv.Itoa(i))
	if err := mkdir(upper, l.mode, l.uid, l.gid); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	if err := unix.Mkdir(work, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	lower := lowerPath(i)
	if b.masked[i] {
		lower = maskPath(i) + ":" + lower
	}
	options := "lowerdir=" + lower + ",upperdir=" + upper + ",workdir=" + work
	if b.layout == layoutSplit {
		options += ",userxattr"
	}
	if b.volatile {
		options += ",volatile"
	}
	return unix.Mount("argosy", at, "overlay", 0, options)
}

// open leaves the helper's namespace for a new one, puts the root of step seq together
// there, and makes it the root of the calling thread. Whatever goes wrong, leave brings the
// thread back.
func (b *base) open(seq uint32, private []string, volumes []Mount) error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("leaving the mount namespace: %w", err)
	}
	return doAll([]action{
		{"opening scratch space", func() error { return b.openScratch(seq) }},
		{"laying the root", func() error { return b.lay(seq, private, volumes) }},
		{"entering the root", func() error {
			if err := unix.Chdir("/step"); err != nil {
				return err
			}
			// Moved over the helper's root and not exchanged with it: pivot_root walks every
			// process of the machine, and to unmount the old root costs the step a wait for
			// all CPUs. What lies below cannot be reached: not by "..", as nothing is
			// mounted over the step's root, and not by unmounting, for which a step lacks the
			// capability, or in a user namespace of its own the lock on what came from ours.
			if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
				return err
			}
			if err := unix.Chroot("."); err != nil {
				return err
			}
			return unix.Chdir("/")
		}},
	})
}

func (b *base) lay(seq uint32, private []string, volumes []Mount) error {
	if b.layout == layoutSplit {
		root := b.scratchPath(seq, "root")
		if err := mkdir(root, 0o755, os.Geteuid(), os.Getegid()); err != nil {
			return err
		}
		if err := unix.Mount(root, "/step", "", unix.MS_BIND, ""); err != nil {
			return err
		}
	}
	for i, l := range b.layers {
		if err := b.layLayer(seq, i, l); err != nil {
			return fmt.Errorf("%s: %w", l.target, err)
		}
	}
	// The step's namespace is a copy, so its mounts of these can be moved instead of copied
	// once more.
	for _, p := range []string{"/proc", "/dev", "/sys"} {
		if err := mountpoint("/step"+p, func(at string) error { return unix.Mount(p, at, "", unix.MS_MOVE, "") }); err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
	}
	for i, dir := range slices.Concat(b.bound, private) {
		if dir == "/dev/shm" && unix.Access("/step/dev/shm", unix.F_OK) != nil {
			continue // a host without it, and /dev takes no new directory
		}
		if err := b.layPrivate(b.scratchPath(seq, "p"+strconv.Itoa(i)), dir); err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
	}
	for i := range volumes {
		if err := layVolume(&volumes[i]); err != nil {
			return fmt.Errorf("mounting volume %s at %s: %w", volumes[i].Volume, volumes[i].At, err)
		}
	}
	for _, p := range b.covered {
		err := unix.Mount("/empty", path.Join("/step", p), "", unix.MS_BIND, "")
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("hiding %s: %w", p, err)
		}
	}
	return nil
}

// layPrivate gives the step a directory of its own. The way there is the host's or ours, as
// no step has run in this root yet.
func (b *base) layPrivate(own, dir string) error {
	if err := mkdir(own, 0o1777, os.Geteuid(), os.Getegid()); err != nil {
		return err
	}
	return mountpoint(path.Join("/step", dir), func(at string) error { return unix.Mount(own, at, "", unix.MS_BIND, "") })
}

func (b *base) layLayer(seq uint32, i int, l layer) error {
	at := path.Join("/step", l.target)
	switch l.kind {
	case layerLink:
		return unix.Symlink(l.link, at)
	case layerDir:
		if b.layout == layoutWhole {
			return nil
		}
		return mkdir(at, l.mode, os.Geteuid(), os.Getegid())
	case layerReadOnly:
		return mountpoint(at, func(at string) error {
			return unix.Mount(lowerPath(i), at, "", unix.MS_BIND|unix.MS_REC, "")
		})
	default:
		return mountpoint(at, func(at string) error { return b.mountOverlay(seq, i, l, at) })
	}
}

// mountpoint mounts at a directory and makes it first where it is missing.
func mountpoint(at string, mount func(at string) error) error {
	err := mount(at)
	if !errors.Is(err, unix.ENOENT) && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(at, 0o755); err != nil {
		return err
	}
	return mount(at)
}

// leave brings the thread back into the helper's namespace. The step's namespace ends with
// that, and everything mounted in it.
func (b *base) leave(seq uint32) error {
	if err := unix.Setns(b.ns, unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("returning to the helper's mount namespace: %w", err)
	}
	if err := b.closeScratch(seq); err != nil {
		return fmt.Errorf("removing scratch space: %w", err)
	}
	return nil
}
