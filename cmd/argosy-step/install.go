package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
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

// stay installs this program into a folder of its node, and stays until it is ended, as what
// keeps it there is a DaemonSet. The copy stays: pods that run are using it.
func stay(dir string) error {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, os.Interrupt, syscall.SIGTERM)
	if err := install(dir); err != nil {
		return err
	}
	<-ended
	return nil
}

// installed says whether the program in a folder is this one.
func installed(dir string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	ours, err := os.ReadFile(self)
	if err != nil {
		return fmt.Errorf("reading this program: %w", err)
	}
	there, err := os.ReadFile(filepath.Join(dir, "argosy-step"))
	if err != nil {
		return fmt.Errorf("reading what is installed: %w", err)
	}
	if !bytes.Equal(ours, there) {
		return errors.New("another program is installed")
	}
	return nil
}
