package image

import (
	"debug/elf"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// pythonLayer packs the host's Python: interpreter, standard library, and every shared
// library that either of them needs.
func pythonLayer(link string) (*Layer, error) {
	binary, err := filepath.EvalSymlinks(link)
	if err != nil {
		return nil, err
	}
	stdlib := filepath.Join("/usr/lib", filepath.Base(binary)) // /usr/lib/python3.11
	l := NewLayer()
	libs := map[string]bool{}
	if err := addBinary(l, binary, libs); err != nil {
		return nil, err
	}
	err = filepath.WalkDir(stdlib, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && leftOut(entry.Name()) {
			return filepath.SkipDir
		}
		switch {
		case !entry.Type().IsRegular():
			return nil // links here only lead out, to packaging data
		case strings.HasSuffix(path, ".so"):
			return addBinary(l, path, libs)
		default:
			return addFile(l, path)
		}
	})
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"python", "python3"} {
		l.Symlink("usr/local/bin/"+name, binary)
	}
	l.Symlink("usr/bin/python3", binary)
	return l, nil
}

// leftOut names the parts of the standard library that no step has a use for.
func leftOut(dir string) bool {
	switch dir {
	case "test", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3", "pydoc_data", "__pycache__":
		return true
	}
	return strings.HasPrefix(dir, "config-")
}

// addBinary adds an ELF file, its interpreter, and in turn the libraries it links to.
func addBinary(l *Layer, path string, libs map[string]bool) error {
	if libs[path] {
		return nil
	}
	libs[path] = true
	if err := addFile(l, path); err != nil {
		return err
	}
	binary, err := elf.Open(path)
	if err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	defer binary.Close()
	if section := binary.Section(".interp"); section != nil {
		interpreter, err := section.Data()
		if err != nil {
			return fmt.Errorf("reading %s: %w", path, err)
		}
		if err := addBinary(l, strings.TrimRight(string(interpreter), "\x00"), libs); err != nil {
			return err
		}
	}
	needed, err := binary.ImportedLibraries()
	if err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	for _, name := range needed {
		lib, err := findLibrary(name)
		if err != nil {
			return fmt.Errorf("packing %s: %w", path, err)
		}
		if err := addBinary(l, lib, libs); err != nil {
			return err
		}
	}
	return nil
}

func findLibrary(name string) (string, error) {
	for _, pattern := range []string{"/lib/*-linux-gnu/", "/usr/lib/*-linux-gnu/", "/lib64/"} {
		if found, _ := filepath.Glob(pattern + name); len(found) > 0 {
			return found[0], nil
		}
	}
	return "", fmt.Errorf("library %s: %w", name, fs.ErrNotExist)
}

// addFile adds the file a path leads to, under that path.
func addFile(l *Layer, path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	body, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	l.File(strings.TrimPrefix(path, "/"), info.Mode(), body)
	return nil
}
