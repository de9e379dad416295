package artifacts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"argosy/artifacts/archive"
)

// Archive is how an artifact is packed. The zero value is Argo's default, a
// gzipped tar.
type Archive = archive.Format

// DefaultKey is Argo's key for an artifact that names none: prefix/name.tgz, or
// without an archive prefix and the path's own name.
func DefaultKey(prefix, name, localPath string, a Archive) string {
	switch a.Kind {
	case archive.None:
		return path.Join(prefix, filepath.Base(localPath))
	case archive.Zip:
		return path.Join(prefix, name+".zip")
	}
	return path.Join(prefix, name+".tgz")
}

// Save stores the file or directory at localPath and returns the key under
// which it is. Without an archive a directory becomes many objects below key.
// A missing path is ErrNoPath.
func Save(ctx context.Context, s Store, key, localPath string, a Archive) (string, error) {
	key = strings.Trim(key, "/")
	info, err := os.Stat(localPath)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("saving %s: %s: %w", key, localPath, ErrNoPath)
	case err != nil:
		return "", fmt.Errorf("saving %s: %w", key, err)
	}
	if a.Kind == archive.None && info.IsDir() {
		err = saveTree(ctx, s, key, localPath)
	} else {
		err = saveStream(ctx, s, key, localPath, a)
	}
	if err != nil {
		return "", fmt.Errorf("saving %s: %w", key, err)
	}
	return key, nil
}

// saveStream packs in one goroutine what the store reads in this one.
func saveStream(ctx context.Context, s Store, key, localPath string, a Archive) error {
	reader, writer := io.Pipe()
	packed := make(chan struct{})
	go func() {
		defer close(packed)
		writer.CloseWithError(archive.Pack(writer, localPath, a))
	}()
	err := s.Put(ctx, key, reader, -1)
	// Pack must not go on reading a directory that its owner then removes.
	reader.CloseWithError(errors.New("the store stopped reading"))
	<-packed
	return err
}

// saveTree stores the files of a directory. Links are followed as long as they
// stay inside it. What was stored before a failure is removed.
func saveTree(ctx context.Context, s Store, key, localPath string) (err error) {
	root, err := os.OpenRoot(localPath)
	if err != nil {
		return err
	}
	defer root.Close()
	var stored []string
	defer func() {
		if err == nil {
			return
		}
		for _, k := range stored {
			if failed := s.Delete(context.WithoutCancel(ctx), k); failed != nil {
				err = errors.Join(err, failed)
				return // each would fail as slowly
			}
		}
	}()
	return fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || entry.Type()&fs.ModeSocket != 0 {
			return err
		}
		k := key + "/" + name
		if err := saveFile(ctx, s, k, root, name); err != nil {
			return err
		}
		stored = append(stored, k)
		return nil
	})
}

func saveFile(ctx context.Context, s Store, key string, root *os.Root, name string) error {
	// Before opening: opening a named pipe would wait for ever.
	info, err := root.Stat(name)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a file, which only an archive can hold: %w", name, archive.ErrUnsupported)
	}
	file, err := root.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	return s.Put(ctx, key, io.LimitReader(file, info.Size()), info.Size())
}

// Load restores at localPath what Save stored under key, telling archives from
// plain files by their first bytes. Nothing is at localPath before all of it is.
func Load(ctx context.Context, s Store, key, localPath string) error {
	return load(ctx, s, key, localPath, archive.Unpack)
}

// LoadPlain is Load for an artifact declared to be without an archive: what
// looks like one is the user's own and stays as it is.
func LoadPlain(ctx context.Context, s Store, key, localPath string) error {
	return load(ctx, s, key, localPath, archive.Write)
}

// LoadZip is Load for an artifact declared to be a zip.
func LoadZip(ctx context.Context, s Store, key, localPath string) error {
	return load(ctx, s, key, localPath, archive.Unzip)
}

func load(ctx context.Context, s Store, key, localPath string, unpack func(io.Reader, string) error) error {
	key = strings.Trim(key, "/")
	body, err := s.Get(ctx, key)
	if errors.Is(err, ErrNotFound) {
		err = loadTree(ctx, s, key, localPath)
	} else if err == nil {
		err = errors.Join(unpack(body, localPath), body.Close())
	}
	if err != nil {
		return fmt.Errorf("loading %s: %w", key, err)
	}
	return nil
}

func loadTree(ctx context.Context, s Store, key, localPath string) error {
	return archive.Replace(localPath, func(tmp string) error {
		if err := os.Mkdir(tmp, 0o755); err != nil {
			return err
		}
		root, err := os.OpenRoot(tmp)
		if err != nil {
			return err
		}
		defer root.Close()
		found := false
		for object, err := range s.List(ctx, key+"/") {
			if err != nil {
				return err
			}
			found = true
			name := strings.TrimPrefix(object.Key, key+"/")
			if name == "" || strings.HasSuffix(name, "/") {
				continue // a marker that some tools leave for a directory
			}
			if err := loadFile(ctx, s, object.Key, root, name); err != nil {
				return err
			}
		}
		if !found {
			return ErrNotFound
		}
		return nil
	})
}

func loadFile(ctx context.Context, s Store, key string, root *os.Root, name string) error {
	if !filepath.IsLocal(name) {
		return fmt.Errorf("object %q leaves its directory: %w", key, archive.ErrUnsafe)
	}
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	body, err := s.Get(ctx, key)
	if err != nil {
		return err
	}
	defer body.Close()
	file, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, body)
	return errors.Join(err, file.Close())
}
