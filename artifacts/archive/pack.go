package archive

import (
	"archive/tar"
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// Pack writes the file or directory at name to w. A symbolic link at name
// itself is followed; those below it are kept as links.
func Pack(w io.Writer, name string, f Format) error {
	name, err := filepath.Abs(name)
	if err != nil {
		return fmt.Errorf("packing: %w", err)
	}
	switch f.Kind {
	case None:
		return plain(w, name)
	case Tar:
		return packTar(w, name, f)
	case Zip:
		return packZip(w, name)
	}
	return fmt.Errorf("packing %s: format %d: %w", name, f.Kind, ErrUnsupported)
}

func plain(w io.Writer, name string) error {
	file, info, err := openRegular(name)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := io.Copy(w, io.LimitReader(file, info.Size())); err != nil {
		return fmt.Errorf("packing %s: %w", name, err)
	}
	return nil
}

// openRegular looks before it opens: opening a named pipe would wait for ever.
func openRegular(name string) (*os.File, fs.FileInfo, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, nil, fmt.Errorf("packing: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("packing %s, which is a %s and not a file: %w", name, describe(info.Mode()), ErrUnsupported)
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, nil, fmt.Errorf("packing: %w", err)
	}
	return file, info, nil
}

func packTar(w io.Writer, root string, f Format) error {
	level := gzip.DefaultCompression
	if f.Level != nil {
		level = *f.Level
	}
	zip, err := gzip.NewWriterLevel(w, level)
	if err != nil {
		return fmt.Errorf("packing %s: %w", root, err)
	}
	archive := tar.NewWriter(zip)
	err = walk(root, func(name, inArchive string, entry fs.DirEntry) error {
		return add(archive, name, inArchive, entry)
	})
	if err != nil {
		return fmt.Errorf("packing %s: %w", root, err)
	}
	if err := archive.Close(); err != nil {
		return fmt.Errorf("packing %s: %w", root, err)
	}
	if err := zip.Close(); err != nil {
		return fmt.Errorf("packing %s: %w", root, err)
	}
	return nil
}

// walk calls visit for the path and all that is below it, with the name that each has in an
// archive.
func walk(root string, visit func(name, inArchive string, entry fs.DirEntry) error) error {
	info, err := os.Stat(root)
	if err != nil {
		return err
	}
	base := filepath.Base(root)
	if base == string(filepath.Separator) {
		base = "root"
	}
	// Not EvalSymlinks: it would read /proc/PID/root, through which another root is reached,
	// as a link to "/". A slash at the end has the system follow a link to a directory.
	from := root
	if info.IsDir() {
		from += string(filepath.Separator)
	}
	return filepath.WalkDir(from, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name == from {
			entry = fs.FileInfoToDirEntry(info)
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		return visit(name, path.Join(base, filepath.ToSlash(rel)), entry)
	})
}

// add writes one entry. Owners are left out: they mean nothing in another pod,
// and without them the same files always make the same archive.
func add(archive *tar.Writer, name, inArchive string, entry fs.DirEntry) error {
	info, err := entry.Info()
	if err != nil {
		return err
	}
	header := &tar.Header{Name: inArchive, Mode: int64(info.Mode().Perm()), ModTime: info.ModTime(), Format: tar.FormatPAX}
	switch mode := info.Mode(); {
	case mode.IsDir():
		header.Typeflag = tar.TypeDir
		header.Name += "/"
	case mode&fs.ModeSymlink != 0:
		header.Typeflag = tar.TypeSymlink
		if header.Linkname, err = os.Readlink(name); err != nil {
			return err
		}
	case mode.IsRegular():
		return addFile(archive, name, header)
	case mode&fs.ModeSocket != 0:
		// A server's leftover; it can hold nothing worth keeping (tar skips it too).
		return nil
	default:
		return fmt.Errorf("%s is a %s: %w", name, describe(mode), ErrUnsupported)
	}
	return archive.WriteHeader(header)
}

func addFile(archive *tar.Writer, name string, header *tar.Header) error {
	file, info, err := openRegular(name)
	if err != nil {
		return err
	}
	defer file.Close()
	header.Typeflag = tar.TypeReg
	header.Size = info.Size()
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	// A log that still grows is cut at the size announced; one that shrank
	// would leave a hole.
	n, err := io.Copy(archive, io.LimitReader(file, header.Size))
	if err != nil {
		return err
	}
	if n < header.Size {
		return fmt.Errorf("%s shrank from %d to %d bytes while it was read", name, header.Size, n)
	}
	return nil
}

func describe(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "directory"
	case mode&fs.ModeNamedPipe != 0:
		return "named pipe"
	case mode&fs.ModeSocket != 0:
		return "socket"
	case mode&fs.ModeDevice != 0:
		return "device"
	}
	return "special file"
}
