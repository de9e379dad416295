//go:build !linux

package queuetest

import "syscall"

// childAttr has nothing to offer where the kernel does not tie a child to its parent.
func childAttr() *syscall.SysProcAttr { return nil }
