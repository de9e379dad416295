// Package sandbox runs commands as local processes in private mount and pid namespaces.
//
// A step sees the host's tree through an overlay that takes its writes, an empty /tmp, /var/tmp and
// /dev/shm, and the kernel's file systems read-only; what the pool is told to hide is empty.
// It runs as root of its own namespace with the capabilities that containers have by
// default. Nothing it writes reaches the host, and none of its processes outlives it.
//
// A program with many threads cannot change namespaces by itself, so a Pool keeps helpers:
// the same program started anew (RunHelper), each the first process of a pid namespace of
// its own, which runs one step after the other:
//
//	                  helper (pid 1, its own mount namespace)
//	                    |
//	+-----> idle -- request --> open: a new mount namespace, overlay, chroot; made while
//	|                             |    the helper is idle, for a step that mounts nothing more
//	|                             |
//	|              (view: a descriptor of the root goes to the worker, to stage inputs)
//	|                             |
//	|                           run: fork, exec, reap until the command ends
//	|                             |      TERM, grace, KILL when the worker says so
//	|                           kill every process left in the namespace
//	|                             |
//	|              (view: the worker collects outputs)
//	|                             |
//	+---- leave: setns back; the mount namespace and all in it is gone
//
// When the worker dies, however it does, its end of the helper's socket closes; the helper
// ends, and the kernel kills every process of its pid namespace with it. Mounts are gone
// with their namespace. Only a scratch directory on disk can outlive a worker that was
// killed; the next one sweeps it.
//
// As root, one overlay covers / and one each other file system. Without privileges a user
// namespace gives them, where the kernel refuses an overlay of /: then the root is an empty
// directory with one overlay for each top-level directory, and files are root's inside and
// the user's outside. There a step can write to the private directories, to /root, to new
// top-level directories, directly in a top-level directory, and wherever the user could; not
// deeper in directories of other users, because the kernel cannot copy an owner that the
// namespace does not know ("Value too large for defined data type").
//
// What steps write is kept in memory by default, bounded for each step, because the cost of
// a step's directories on a disk is several times that of the step itself; Config.Scratch
// moves it to a disk for steps that write more than memory should hold. A helper itself takes
// about 4 MB and 20 ms to start, and stays for a minute after its last step.
//
// It needs Linux 5.12 with overlayfs. File systems that are mounted on the host after a
// helper started are not seen by its steps.
package sandbox
