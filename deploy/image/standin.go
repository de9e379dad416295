package main

import (
	"debug/elf"
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// redis is Debian's redis-server and redis-cli on a busybox, for the commands that the
// official image of Redis takes too.
func redis(server, cli string) (recipe, error) {
	r, err := onBusybox("/bin/busybox")
	if err != nil {
		return recipe{}, err
	}
	for _, program := range []string{server, cli} {
		if err := r.addProgram("usr/bin/"+filepath.Base(program), program); err != nil {
			return recipe{}, err
		}
	}
	r.config.Cmd = []string{"redis-server"}
	return r, nil
}

// minio is a MinIO server on a busybox.
func minio(server string) (recipe, error) {
	r, err := onBusybox("/bin/busybox")
	if err != nil {
		return recipe{}, err
	}
	if err := r.addProgram("usr/bin/minio", server); err != nil {
		return recipe{}, err
	}
	r.config.Entrypoint = []string{"minio"}
	return r, nil
}

// builder is the builder of examples/ci-pipeline, and nothing else. It is root, as who built the
// other files of its workspace was.
func builder(program string) (recipe, error) {
	if err := mustBeStatic(program); err != nil {
		return recipe{}, err
	}
	return recipe{entries: map[string]entry{
		"usr/bin/builder": {source: program, mode: 0o755},
		"tmp":             {isDir: true, mode: 0o777 | fs.ModeSticky},
	}, config: v1.Config{Env: []string{"PATH=/usr/bin"}}}, nil
}

// onBusybox is a root file system with a shell, and a /data to write to.
func onBusybox(binary string) (recipe, error) {
	if err := mustBeStatic(binary); err != nil {
		return recipe{}, fmt.Errorf("%w (Debian: busybox-static)", err)
	}
	list, err := exec.Command(binary, "--list-full").Output()
	if err != nil {
		return recipe{}, fmt.Errorf("listing the applets of %s: %w", binary, err)
	}
	owner, err := strconv.Atoi(nobody)
	if err != nil {
		return recipe{}, fmt.Errorf("reading the user: %w", err)
	}
	r := recipe{
		entries: map[string]entry{
			"bin/busybox": {source: binary, mode: 0o755},
			"etc/passwd":  {text: "root:x:0:0:root:/:/bin/sh\nnonroot:x:" + nobody + ":" + nobody + ":nonroot:/data:/bin/sh\n", mode: 0o644},
			"etc/group":   {text: "root:x:0:\nnonroot:x:" + nobody + ":\n", mode: 0o644},
			"tmp":         {isDir: true, mode: 0o777 | fs.ModeSticky},
			"data":        {isDir: true, mode: 0o755, ownedBy: owner},
		},
		config: v1.Config{
			User:       nobody + ":" + nobody,
			WorkingDir: "/data",
			Env:        []string{"PATH=/usr/bin:/bin:/usr/sbin:/sbin"},
		},
	}
	for _, applet := range strings.Fields(string(list)) {
		if _, taken := r.entries[applet]; !taken {
			r.entries[applet] = entry{link: "/bin/busybox"}
		}
	}
	return r, nil
}

// addProgram adds a program of this machine with every library that it needs.
func (r recipe) addProgram(at, program string) error {
	if err := r.addLibraries(program); err != nil {
		return err
	}
	target, err := filepath.EvalSymlinks(program)
	if err != nil {
		return err
	}
	r.entries[at] = entry{source: target, mode: 0o755}
	return nil
}

// addLibraries adds the interpreter and the libraries of an ELF file, and in turn theirs.
func (r recipe) addLibraries(file string) error {
	f, err := elf.Open(file)
	if err != nil {
		return fmt.Errorf("reading %s: %w", file, err)
	}
	defer f.Close()
	var needed []string
	if section := f.Section(".interp"); section != nil {
		interpreter, err := section.Data()
		if err != nil {
			return fmt.Errorf("reading the interpreter of %s: %w", file, err)
		}
		needed = append(needed, strings.TrimRight(string(interpreter), "\x00"))
	}
	imported, err := f.ImportedLibraries()
	if err != nil {
		return fmt.Errorf("reading the libraries of %s: %w", file, err)
	}
	for _, name := range imported {
		library, err := findLibrary(name)
		if err != nil {
			return fmt.Errorf("packing %s: %w", file, err)
		}
		needed = append(needed, library)
	}
	for _, library := range needed {
		if _, done := r.entries[library[1:]]; done {
			continue
		}
		target, err := filepath.EvalSymlinks(library)
		if err != nil {
			return fmt.Errorf("packing %s: %w", file, err)
		}
		r.entries[library[1:]] = entry{source: target, mode: 0o755}
		if err := r.addLibraries(target); err != nil {
			return err
		}
	}
	return nil
}

func findLibrary(name string) (string, error) {
	for _, pattern := range []string{"/lib64/", "/lib/*-linux-gnu/", "/usr/lib/*-linux-gnu/"} {
		if found, _ := filepath.Glob(pattern + name); len(found) > 0 {
			return found[0], nil
		}
	}
	return "", fmt.Errorf("library %s: %w", name, fs.ErrNotExist)
}
