package archive

import (
	"archive/tar"
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

func packZip(w io.Writer, root string) error {
	archive := zip.NewWriter(w)
	err := walk(root, func(name, inArchive string, entry fs.DirEntry) error {
		return addZip(archive, name, inArchive, entry)
	})
	if err == nil {
		err = archive.Close()
	}
	if err != nil {
		return fmt.Errorf("packing %s: %w", root, err)
	}
	return nil
}

// addZip writes one entry, as add does.
func addZip(archive *zip.Writer, name, inArchive string, entry fs.DirEntry) error {
	info, err := entry.Info()
	if err != nil {
		return err
	}
	header := &zip.FileHeader{Name: inArchive, Modified: info.ModTime(), Method: zip.Deflate}
	header.SetMode(info.Mode())
	var body io.Reader = strings.NewReader("")
	switch mode := info.Mode(); {
	case mode.IsDir():
		header.Name, header.Method = inArchive+"/", zip.Store
	case mode&fs.ModeSymlink != 0:
		target, err := os.Readlink(name)
		if err != nil {
			return err
		}
		body = strings.NewReader(target)
	case mode.IsRegular():
		file, _, err := openRegular(name)
		if err != nil {
			return err
		}
		defer file.Close()
		body = file
	case mode&fs.ModeSocket != 0:
		return nil
	default:
		return fmt.Errorf("%s is a %s: %w", name, describe(mode), ErrUnsupported)
	}
	to, err := archive.CreateHeader(header)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, body)
	return err
}

// Unzip is Unpack for an artifact declared to be a zip: a stream does not tell, since users
// keep zips of their own as plain files.
func Unzip(r io.Reader, dest string) error {
	return Replace(dest, func(tmp string) error {
		// A zip is read from its end.
		file, err := os.CreateTemp(filepath.Dir(tmp), "zip-*")
		if err != nil {
			return err
		}
		defer file.Close()
		size, err := io.Copy(file, r)
		if err != nil {
			return err
		}
		tree := filepath.Join(filepath.Dir(tmp), "tree")
		if err := os.Mkdir(tree, 0o755); err != nil {
			return err
		}
		only, err := extractZip(file, size, tree)
		if err != nil {
			return err
		}
		if only != "" {
			return move(filepath.Join(tree, only), tmp)
		}
		return os.Rename(tree, tmp)
	})
}

func extractZip(r io.ReaderAt, size int64, dir string) (string, error) {
	archive, err := zip.NewReader(r, size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return "", fmt.Errorf("reading the archive: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", err
	}
	defer root.Close()
	x := &extraction{root: root, tops: map[string]bool{}, linked: map[string]bool{}}
	for _, f := range archive.File {
		if err := x.zipped(f); err != nil {
			return "", err
		}
	}
	return x.finish()
}

// maxLink bounds the target of a symbolic link, as the system does.
const maxLink = 4096

// zipped writes an entry of a zip as if it was one of a tar.
func (x *extraction) zipped(f *zip.File) error {
	body, err := f.Open()
	if err != nil {
		return fmt.Errorf("entry %q: %w", f.Name, err)
	}
	defer body.Close()
	mode := f.Mode()
	header := &tar.Header{Name: f.Name, Typeflag: tar.TypeReg, Mode: int64(mode.Perm()), ModTime: f.Modified}
	switch {
	case mode.IsDir():
		header.Typeflag = tar.TypeDir
	case mode&fs.ModeSymlink != 0:
		target, err := io.ReadAll(io.LimitReader(body, maxLink))
		if err != nil {
			return fmt.Errorf("entry %q: %w", f.Name, err)
		}
		header.Typeflag, header.Linkname = tar.TypeSymlink, string(target)
	case !mode.IsRegular():
		return fmt.Errorf("entry %q is a %s: %w", f.Name, describe(mode), ErrUnsafe)
	}
	return x.entry(body, header)
}
