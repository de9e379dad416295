package main

import (
	"debug/elf"
	"fmt"
	"io/fs"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// certificates is where Debian keeps the authorities that https clients trust.
const certificates = "/etc/ssl/certs/ca-certificates.crt"

// product is argosy alone: no shell, no libraries, nothing to log in to.
func product(argosy, step string) (recipe, error) {
	r := recipe{
		entries: map[string]entry{
			"bin/argosy":      {source: argosy, mode: 0o755},
			"bin/argosy-step": {source: step, mode: 0o755},
			"etc/passwd":      {text: "nonroot:x:" + nobody + ":" + nobody + ":nonroot:/:/sbin/nologin\n", mode: 0o644},
			"etc/group":       {text: "nonroot:x:" + nobody + ":\n", mode: 0o644},
			"tmp":             {isDir: true, mode: 0o777 | fs.ModeSticky},
		},
		config: v1.Config{
			Entrypoint: []string{"/bin/argosy"},
			User:       nobody + ":" + nobody,
			WorkingDir: "/",
			Env:        []string{"PATH=/bin"},
		},
	}
	for _, program := range []string{argosy, step} {
		if err := mustBeStatic(program); err != nil {
			return recipe{}, err
		}
	}
	if _, err := os.Stat(certificates); err == nil {
		r.entries[certificates[1:]] = entry{source: certificates, mode: 0o644}
	}
	return r, nil
}

// mustBeStatic refuses a program that would not start in an image without libraries.
func mustBeStatic(program string) error {
	f, err := elf.Open(program)
	if err != nil {
		return fmt.Errorf("reading %s: %w", program, err)
	}
	defer f.Close()
	if f.Section(".interp") != nil {
		return fmt.Errorf("%s is linked to libraries of this machine: build it with CGO_ENABLED=0", program)
	}
	return nil
}
