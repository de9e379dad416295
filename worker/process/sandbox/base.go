package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// The helper's own tree, built once in its own mount namespace, which no step ever sees:
//
//	/lower/N   parts of the host's tree that become lower directories
//	/mask/N    what covers them: empty directories that hide the host's
//	/proc      of the helper's pid namespace
//	/dev /sys  the host's, read-only but for the devices themselves
//	/scratch   what steps write: a fresh tmpfs for each step, or a directory on disk
//	/volumes   the directory of volumes, each of which a step may have mounted
//	/step      where the next step's root is put together
//	/empty     a read-only nothing to cover hidden directories with
type base struct {
	cfg      helperConfig
	layout   string
	layers   []layer
	masked   map[int]bool // layers with a mask
	bound    []string     // directories of a step's own that no layer gives it
	covered  []string     // directories that no mask empties
	volatile bool
	ns       int // descriptor of the helper's own mount namespace
	warnings []string
}

const (
	layoutWhole = "whole" // one overlay of /
	layoutSplit = "split" // one overlay for each top-level directory
)

// mountAttr changes flags of a mount, and of those below it when asked.
func mountAttr(p string, recursive bool, set, clear uint64) error {
	flags := uint(0)
	if recursive {
		flags = unix.AT_RECURSIVE
	}
	return unix.MountSetattr(unix.AT_FDCWD, p, flags, &unix.MountAttr{Attr_set: set, Attr_clr: clear})
}

// steps runs functions until one fails, and names it.
type action struct {
	name string
	do   func() error
}

func doAll(actions []action) error {
	for _, a := range actions {
		if err := a.do(); err != nil {
			return fmt.Errorf("%s: %w", a.name, err)
		}
	}
	return nil
}

// setupBase must run on the locked thread of a process that has a mount and a pid
// namespace of its own.
func setupBase(cfg helperConfig) (*base, error) {
	b := &base{cfg: cfg}
	// Any directory that surely exists will do: the tmpfs moves to the root at once, and
	// the host's directory shows again below /host.
	const staging = "/tmp"
	err := doAll([]action{
		{"making mounts private", func() error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") }},
		{"mounting the helper's root", func() error {
			return unix.Mount("argosy", staging, "tmpfs", unix.MS_NOSUID, "mode=0755,size=1m")
		}},
		{"making the helper's directories", func() error {
			for _, d := range []string{"host", "lower", "mask", "step", "scratch", "volumes", "empty", "proc", "dev", "sys"} {
				if err := os.Mkdir(path.Join(staging, d), 0o755); err != nil {
					return err
				}
			}
			return nil
		}},
		{"changing the helper's root", func() error { return unix.PivotRoot(staging, path.Join(staging, "host")) }},
		{"entering the helper's root", func() error { return unix.Chdir("/") }},
		{"mounting proc", b.mountProc},
		{"showing devices", b.bindDev},
		{"showing sys", func() error {
			if err := unix.Mount("/host/sys", "/sys", "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
				return err
			}
			return mountAttr("/sys", true, unix.MOUNT_ATTR_RDONLY, 0)
		}},
		{"making the cover for hidden directories", func() error {
			if err := unix.Mount("/empty", "/empty", "", unix.MS_BIND, ""); err != nil {
				return err
			}
			return mountAttr("/empty", false, unix.MOUNT_ATTR_RDONLY, 0)
		}},
		{"opening the scratch directory", func() error {
			if cfg.Scratch == "" {
				return nil
			}
			return unix.Mount(path.Join("/host", cfg.Scratch), "/scratch", "", unix.MS_BIND, "")
		}},
		{"opening the directory of volumes", func() error {
			if cfg.Volumes == "" {
				return nil
			}
			return unix.Mount(path.Join("/host", cfg.Volumes), "/volumes", "", unix.MS_BIND, "")
		}},
		{"planning the steps' root", b.plan},
		{"leaving the host's tree", func() error { return unix.Unmount("/host", unix.MNT_DETACH) }},
		{"keeping the mount namespace", func() (err error) {
			b.ns, err = unix.Open("/proc/thread-self/ns/mnt", unix.O_RDONLY|unix.O_CLOEXEC, 0)
			return err
		}},
	})
	if err != nil {
		return nil, err
	}
	return b, nil
}

// mountProc shows the helper's own pid namespace. Where another proc mount is masked, as in
// a container, the kernel refuses an unprivileged one that would reveal more; then the step
// sees the one from outside, which isolates files no less.
func (b *base) mountProc() error {
	err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	if errors.Is(err, unix.EPERM) {
		b.warnings = append(b.warnings, "a private /proc is not allowed here: steps see the process list from outside")
		return unix.Mount("/host/proc", "/proc", "", unix.MS_BIND|unix.MS_REC, "")
	}
	if err != nil {
		return err
	}
	// A step may be root, and a sysctl is the whole machine's.
	for _, p := range []string{"/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus"} {
		if _, err := os.Lstat(p); err != nil {
			continue
		}
		if err := unix.Mount(p, p, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("covering %s: %w", p, err)
		}
		if err := mountAttr(p, false, unix.MOUNT_ATTR_RDONLY, 0); err != nil {
			return fmt.Errorf("write-protecting %s: %w", p, err)
		}
	}
	return nil
}

// bindDev shows the host's devices. The mounts are read-only, which does not concern writes
// to a device, so that no step leaves a plain file there.
func (b *base) bindDev() error {
	if err := unix.Mount("/host/dev", "/dev", "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return err
	}
	if err := mountAttr("/dev", true, unix.MOUNT_ATTR_RDONLY, 0); err != nil {
		return err
	}
	if _, err := os.Lstat("/dev/pts/ptmx"); err != nil {
		return nil //nolint:nilerr // a host without pseudo terminals: nothing to open up
	}
	return mountAttr("/dev/pts", false, 0, unix.MOUNT_ATTR_RDONLY)
}

// plan decides the layout, keeps the host's directories that it needs at /lower/N, and
// tries each overlay once, so that a step never meets a refusal.
func (b *base) plan() error {
	f, err := os.Open("/host/proc/self/mountinfo")
	if err != nil {
		// In a pid namespace the host's proc knows this process under another number.
		f, err = os.Open("/proc/thread-self/mountinfo")
	}
	if err != nil {
		return err
	}
	defer f.Close()
	all, err := parseMountInfo(f)
	if err != nil {
		return err
	}
	var mounts []mountPoint
	for _, m := range all {
		if p, ok := strings.CutPrefix(m.path, "/host"); ok && (p == "" || p[0] == '/') {
			m.path = path.Join("/", p)
			mounts = append(mounts, m)
		}
	}

	b.layout, b.layers = layoutWhole, planWhole(mounts)
	b.bound = []string{"/dev/shm"}
	refused := b.mask(append([]string{"/tmp", "/var/tmp"}, b.cfg.Hide...))
	if refused == nil {
		refused = b.adopt()
	}
	if refused == nil {
		return nil
	}
	canRead := func(p string) bool { return unix.Access(p, unix.R_OK|unix.X_OK) == nil }
	b.layout, b.masked = layoutSplit, nil
	b.bound, b.covered = []string{"/var/tmp", "/dev/shm"}, b.cfg.Hide
	if b.layers, err = planSplit("/host", mounts, canRead); err != nil {
		return err
	}
	if err := b.adopt(); err != nil {
		return fmt.Errorf("no overlay is possible: of the whole root: %w; of its directories: %w", refused, err)
	}
	return nil
}

// adopt binds the layers' directories to /lower/N and tries the overlays. In the whole
// layout every overlay must stand; in the split one a directory that refuses is left out,
// which hides it and so keeps it safe.
func (b *base) adopt() error {
	if err := b.openScratch(0); err != nil {
		return err
	}
	defer func() { _ = b.closeScratch(0) }() // trying out leaves nothing that matters
	var usable []layer
	var refused []error
	overlays := 0
	for i, l := range b.layers {
		if l.kind == layerOverlay || l.kind == layerReadOnly {
			if err := b.adoptLayer(i, &l); err != nil {
				refused = append(refused, fmt.Errorf("%s: %w", l.target, err))
				l.kind, l.mode = layerDir, 0o755
			} else if l.kind == layerOverlay {
				overlays++
			}
		}
		usable = append(usable, l)
	}
	if len(refused) > 0 && (b.layout == layoutWhole || overlays == 0) {
		for i := range b.layers {
			unix.Unmount(lowerPath(i), unix.MNT_DETACH)
		}
		return errors.Join(refused...)
	}
	for _, err := range refused {
		b.warnings = append(b.warnings, "hidden from steps: "+err.Error())
	}
	b.layers = usable
	return nil
}

func lowerPath(i int) string { return "/lower/" + strconv.Itoa(i) }

func (b *base) adoptLayer(i int, l *layer) error {
	var st unix.Stat_t
	host := path.Join("/host", l.target)
	if err := unix.Stat(host, &st); err != nil {
		return err
	}
	l.mode, l.uid, l.gid = os.FileMode(st.Mode&0o7777), int(st.Uid), int(st.Gid)
	if err := os.Mkdir(lowerPath(i), 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	flags := uintptr(unix.MS_BIND)
	if l.kind == layerReadOnly {
		flags |= unix.MS_REC
	}
	if err := unix.Mount(host, lowerPath(i), "", flags, ""); err != nil {
		return fmt.Errorf("binding: %w", err)
	}
	if l.kind == layerReadOnly {
		return mountAttr(lowerPath(i), true, unix.MOUNT_ATTR_RDONLY, 0)
	}
	// Volatile spares a sync of the upper file system at each unmount; kernels before 5.10
	// do not know it.
	b.volatile = i == 0 || b.volatile
	for {
		err := b.mountOverlay(0, i, *l, "/step")
		if errors.Is(err, unix.EINVAL) && b.volatile {
			b.volatile = false
			continue
		}
		if err != nil {
			unix.Unmount(lowerPath(i), unix.MNT_DETACH)
			return fmt.Errorf("mounting an overlay: %w", err)
		}
		return unix.Unmount("/step", unix.MNT_DETACH)
	}
}
