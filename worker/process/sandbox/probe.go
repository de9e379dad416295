package sandbox

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// UnavailableError says why steps cannot be isolated on this machine.
type UnavailableError struct {
	Err  error
	Hint string // what an administrator could change, if we know
}

func (e *UnavailableError) Error() string {
	s := "steps cannot be isolated here: " + e.Err.Error()
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

func (e *UnavailableError) Unwrap() error { return e.Err }

// probe sets a first helper up: with the privileges that the process has, or in a user
// namespace where it lacks them.
func probe(start func(privileged bool) (*slot, error)) (s *slot, privileged bool, err error) {
	var asRoot error
	if os.Geteuid() == 0 {
		if s, asRoot = start(true); asRoot == nil {
			return s, true, nil
		}
	}
	s, err = start(false)
	if err == nil {
		return s, false, nil
	}
	if asRoot != nil {
		err = fmt.Errorf("as root: %w; in a user namespace: %w", asRoot, err)
	}
	return nil, false, &UnavailableError{Err: err, Hint: hint(err)}
}

// hint reads the settings by which distributions switch user namespaces off.
func hint(err error) string {
	for _, s := range []struct{ file, off, say string }{
		{"/proc/sys/user/max_user_namespaces", "0", "user namespaces are switched off: sysctl user.max_user_namespaces is 0"},
		{"/proc/sys/kernel/unprivileged_userns_clone", "0", "user namespaces are switched off for users: sysctl kernel.unprivileged_userns_clone is 0"},
		{"/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", "AppArmor restricts user namespaces: sysctl kernel.apparmor_restrict_unprivileged_userns is 1; run as root or give the program a profile"},
	} {
		if text, readErr := os.ReadFile(s.file); readErr == nil && strings.TrimSpace(string(text)) == s.off {
			return s.say
		}
	}
	if errors.Is(err, unix.EPERM) {
		return "in a container, namespaces need CAP_SYS_ADMIN or a seccomp profile that allows unshare and mount"
	}
	return ""
}

// quarterOfMemory is what one step may keep in memory unless told otherwise.
func quarterOfMemory() int64 {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 1 << 30
	}
	return int64(info.Totalram * uint64(info.Unit) / 4)
}
