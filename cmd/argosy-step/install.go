package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// install copies this program into dir, in one move: a container that starts while another
// copy is under way never sees half of it.
func install(dir string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	from, err := os.Open(self)
	if err != nil {
		return fmt.Errorf("reading this program: %w", err)
	}
	defer from.Close()
	to, err := os.CreateTemp(dir, ".argosy-step-*")
	if err != nil {
		return fmt.Errorf("installing: %w", err)
	}
	_, err = io.Copy(to, from)
	err = errors.Join(err, to.Chmod(0o755), to.Close())
	if err == nil {
		err = os.Rename(to.Name(), filepath.Join(dir, "argosy-step"))
	}
	if err != nil {
		os.Remove(to.Name())
		return fmt.Errorf("installing: %w", err)
	}
	return nil
}
