package queuetest

import "syscall"

// childAttr has a child end with us, however we end, and keeps a terminal's Ctrl-C from it:
// it is needed until we are done.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
