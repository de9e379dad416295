package archive

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// sniffed is how much of a stream is read ahead to learn what it is.
const sniffed = 64 << 10

// Unpack writes the stream to dest. A gzipped tar with a single top entry
// becomes dest itself, file or directory; one with several becomes a directory;
// anything else is a file and stays as it is. Nothing is at dest before all of
// it is.
func Unpack(r io.Reader, dest string) error {
	buffered := bufio.NewReaderSize(r, sniffed)
	head, err := buffered.Peek(sniffed)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("unpacking to %s: %w", dest, err)
	}
	if !isTarball(head) {
		return Write(buffered, dest)
	}
	return Replace(dest, func(tmp string) error {
		tree := filepath.Join(filepath.Dir(tmp), "tree")
		if err := os.Mkdir(tree, 0o755); err != nil {
			return err
		}
		only, err := extract(buffered, tree)
		if err != nil {
			return err
		}
		// The rest of the stream carries gzip's checksum, and a sender that
		// waits for its end.
		if _, err := io.Copy(io.Discard, buffered); err != nil {
			return err
		}
		if only != "" {
			return move(filepath.Join(tree, only), tmp)
		}
		return os.Rename(tree, tmp)
	})
}

// Write writes the stream to the file dest as it is.
func Write(r io.Reader, dest string) error {
	return Replace(dest, func(tmp string) error {
		file, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			return err
		}
		_, err = io.Copy(file, r)
		return errors.Join(err, file.Close())
	})
}

// isTarball looks through gzip at the first tar header, as Argo does: other
// gzipped files are users' own and stay compressed.
func isTarball(head []byte) bool {
	zip, err := gzip.NewReader(bytes.NewReader(head))
	if err != nil {
		return false
	}
	_, err = tar.NewReader(zip).Next()
	return err == nil || errors.Is(err, tar.ErrInsecurePath)
}

// extraction writes the entries of an archive below a directory. os.Root keeps
// every write inside whatever links the archive made before.
type extraction struct {
	root   *os.Root
	tops   map[string]bool
	links  []link
	linked map[string]bool // names that are or were links
	dirs   []*tar.Header   // their modes and times come last: files still go in
}

type link struct{ name, target string }

// extract returns the name of the single top entry, or "" when there are more.
func extract(r io.Reader, dir string) (string, error) {
	zip, err := gzip.NewReader(r)
	if err != nil {
		return "", err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", err
	}
	defer root.Close()
	x := &extraction{root: root, tops: map[string]bool{}, linked: map[string]bool{}}
	archive := tar.NewReader(zip)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) {
			return "", fmt.Errorf("reading the archive: %w", err)
		}
		if err := x.entry(archive, header); err != nil {
			return "", err
		}
	}
	if _, err := io.Copy(io.Discard, zip); err != nil {
		return "", fmt.Errorf("reading the archive: %w", err)
	}
	return x.finish()
}

func (x *extraction) entry(archive io.Reader, header *tar.Header) error {
	name := path.Clean(header.Name)
	switch {
	case header.Typeflag == tar.TypeXGlobalHeader:
		return nil
	case name == "." && header.Typeflag == tar.TypeDir:
		return nil // "./" of archives made by hand
	case strings.Contains(header.Name, "\x00") || !filepath.IsLocal(name) || name == ".":
		return fmt.Errorf("entry %q leaves the archive: %w", header.Name, ErrUnsafe)
	}
	top, _, _ := strings.Cut(name, "/")
	x.tops[top] = true
	for parent := path.Dir(name); parent != "."; parent = path.Dir(parent) {
		if x.linked[parent] {
			return fmt.Errorf("entry %q is below the link %q: %w", header.Name, parent, ErrUnsafe)
		}
	}
	if parent := path.Dir(name); parent != "." {
		if err := x.root.MkdirAll(parent, 0o755); err != nil {
			return fmt.Errorf("entry %q: %w", header.Name, err)
		}
	}
	if err := x.write(archive, name, header); err != nil {
		return fmt.Errorf("entry %q: %w", header.Name, err)
	}
	return nil
}

func (x *extraction) write(archive io.Reader, name string, header *tar.Header) error {
	if header.Typeflag != tar.TypeDir {
		// The last entry of a name wins, and is not written through a link.
		if err := x.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	switch header.Typeflag {
	case tar.TypeDir:
		if err := x.root.MkdirAll(name, 0o755); err != nil {
			return err
		}
		header.Name = name
		x.dirs = append(x.dirs, header)
		return nil
	case tar.TypeReg:
		file, err := x.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		_, err = io.Copy(file, archive)
		if err := errors.Join(err, file.Close()); err != nil {
			return err
		}
		return x.attributes(name, header)
	case tar.TypeSymlink:
		if path.IsAbs(header.Linkname) || climbsBack(header.Linkname) {
			return fmt.Errorf("a link to %q leaves the archive: %w", header.Linkname, ErrUnsafe)
		}
		x.linked[name] = true
		x.links = append(x.links, link{name: name, target: header.Linkname})
		return x.root.Symlink(header.Linkname, name)
	case tar.TypeLink:
		target := path.Clean(header.Linkname)
		if !filepath.IsLocal(target) {
			return fmt.Errorf("a link to %q leaves the archive: %w", header.Linkname, ErrUnsafe)
		}
		return x.root.Link(target, name)
	}
	return fmt.Errorf("type %q is neither a file, a directory nor a link: %w", header.Typeflag, ErrUnsafe)
}

// climbsBack finds a ".." after a name, as in "a/../b". If "a" is a link, that
// goes somewhere else than it reads, so that reading it proves nothing.
func climbsBack(target string) bool {
	named := false
	for part := range strings.SplitSeq(target, "/") {
		switch part {
		case "", ".":
		case "..":
			if named {
				return true
			}
		default:
			named = true
		}
	}
	return false
}

func (x *extraction) attributes(name string, header *tar.Header) error {
	// Not the bits that lend the owner's rights: the owner here is another.
	if err := x.root.Chmod(name, header.FileInfo().Mode().Perm()); err != nil {
		return err
	}
	when := header.ModTime
	if when.IsZero() || when.Unix() == 0 {
		return nil
	}
	return x.root.Chtimes(name, time.Time{}, when)
}

// finish checks the links, now that it is known what becomes the root.
func (x *extraction) finish() (string, error) {
	only := ""
	if len(x.tops) == 1 {
		for top := range x.tops {
			only = top
		}
	}
	for _, l := range x.links {
		target := path.Join(path.Dir(l.name), l.target)
		inside := filepath.IsLocal(target)
		if only != "" && inside {
			inside = target == only || strings.HasPrefix(target, only+"/")
		}
		if !inside {
			return "", fmt.Errorf("entry %q: a link to %q leaves the archive: %w", l.name, l.target, ErrUnsafe)
		}
	}
	for i := len(x.dirs) - 1; i >= 0; i-- {
		if err := x.attributes(x.dirs[i].Name, x.dirs[i]); err != nil {
			return "", fmt.Errorf("entry %q: %w", x.dirs[i].Name, err)
		}
	}
	return only, nil
}
