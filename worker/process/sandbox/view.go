package sandbox

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// View is a step's file system seen from outside its namespace. Paths are absolute paths of
// the step; whatever symbolic links the step has laid, they lead within its own root, as
// they do for the step itself. But for ReadEnd it must not be used while the step runs, for a path
// stays true only while nobody moves what it leads through.
type View struct {
	root int
	lent []int // descriptors that paths handed out lead through
}

func (v *View) close() {
	closeFDs(v.lent)
	unix.Close(v.root)
}

const maxLinks = 40 // as the kernel

// HostPath returns a path of this process that leads to what the step finds at p. It is good
// until the sandbox is closed. Its last element is never a symbolic link, and nothing need
// stand there: then the elements that are missing follow those that exist. A pipe, a socket
// or a device is refused, because whoever opened it might wait for ever.
func (v *View) HostPath(p string) (string, error) {
	fail := func(err error) (string, error) { return "", &fs.PathError{Op: "open", Path: p, Err: err} }
	if !path.IsAbs(p) {
		return fail(errors.New("not an absolute path"))
	}
	name, rest := p, "" // rest is missing below name
	for range maxLinks {
		dir, base := path.Split(strings.TrimRight(name, "/"))
		if base == "" || base == "." || base == ".." {
			// It cannot be looked up in its parent, nor can it be a link.
			dir, base = name, "."
		}
		parent, err := v.openDir(dir)
		if errors.Is(err, unix.ENOENT) && base != "." {
			name, rest = strings.TrimRight(dir, "/"), path.Join(base, rest)
			continue
		}
		if err != nil {
			return fail(err)
		}
		v.lent = append(v.lent, parent)
		var st unix.Stat_t
		err = unix.Fstatat(parent, base, &st, unix.AT_SYMLINK_NOFOLLOW)
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return fail(err)
		}
		switch kind := st.Mode & unix.S_IFMT; {
		case err != nil, kind == unix.S_IFDIR:
		case kind == unix.S_IFLNK:
			to, err := readlinkat(parent, base)
			if err != nil {
				return fail(err)
			}
			if !path.IsAbs(to) {
				to = dir + "/" + to
			}
			// Joined and not cleaned: the kernel knows where ".." leads, for dir may lead
			// through links itself.
			name = to
			if rest != "" {
				name += "/" + rest
			}
			rest = ""
			continue
		case rest != "":
			return fail(unix.ENOTDIR)
		case kind != unix.S_IFREG:
			return fail(errors.New("neither a file nor a directory"))
		}
		host := "/proc/self/fd/" + strconv.Itoa(parent) + "/" + base
		if rest != "" {
			host += "/" + rest
		}
		return host, nil
	}
	return fail(unix.ELOOP)
}

// ReadEnd returns the last bytes of a file, at most so many, also while the step runs. Nothing but
// a file is opened.
func (v *View) ReadEnd(p string, limit int64) ([]byte, error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	fd, err := unix.Openat2(v.root, p, &how)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: p, Err: err}
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, &fs.PathError{Op: "stat", Path: p, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, &fs.PathError{Op: "open", Path: p, Err: errors.New("not a file")}
	}
	f, err := os.Open("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.NewSectionReader(f, max(0, st.Size-limit), limit))
}

// openDir resolves a directory within the root. The kernel asks to try again when something
// is renamed or mounted anywhere while it checks a "..".
func (v *View) openDir(dir string) (int, error) {
	how := unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	}
	for range 1000 {
		fd, err := unix.Openat2(v.root, "/"+dir, &how)
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
			continue
		}
		return fd, err
	}
	return -1, unix.EAGAIN
}

func readlinkat(dir int, name string) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(dir, name, buf)
	if err != nil {
		return "", err
	}
	return string(buf[:n]), nil
}
