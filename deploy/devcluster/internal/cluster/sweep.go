package cluster

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"

	"argosy/deploy/devcluster/internal/proc"
)

// sweepTimeout bounds how long ended processes may take to be gone.
const sweepTimeout = 30 * time.Second

// Down takes everything away.
func Down(ctx context.Context) error {
	unlock, err := lock()
	if err != nil {
		return err
	}
	defer unlock()
	return Sweep(ctx)
}

// Sweep removes whatever a node left, in whatever state it was: its processes, its
// interface, its cgroups, its files. What is not there is no error, so it can be
// repeated, and continued after being interrupted at any point.
func Sweep(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, sweepTimeout)
	defer cancel()
	if err := endNode(ctx); err != nil {
		return err
	}
	if _, err := net.InterfaceByName(hostLink); err == nil {
		// The kernel removes it too once the node's network is gone, in its own time.
		if err := ip(ctx, "link delete "+hostLink); err != nil && hasInterface(hostLink)(ctx) == nil {
			return fmt.Errorf("removing the interface: %w", err)
		}
	}
	if err := removeCgroups(ctx); err != nil {
		return err
	}
	if err := unmountState(); err != nil {
		return err
	}
	if err := removeMountPoints(); err != nil {
		return err
	}
	if err := os.RemoveAll(Root); err != nil {
		return fmt.Errorf("removing %s: %w", Root, err)
	}
	return nil
}

// endNode ends the node, and with it all it holds. The kernel lets process 1 of a
// namespace go only when every other process in it is gone.
func endNode(ctx context.Context) error {
	if id, err := proc.Load(pidFile); err == nil {
		if err := id.Kill(ctx); err != nil {
			return err
		}
	}
	// Also a node whose Up was killed between starting it and writing it down.
	for _, id := range proc.WithEnv(marker) {
		if err := id.Kill(ctx); err != nil {
			return err
		}
	}
	return nil
}
