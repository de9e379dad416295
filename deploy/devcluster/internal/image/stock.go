package image

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// Pause is the image of the process that holds a pod's namespaces open.
const Pause = "argosy.dev/pause:1"

// Aliases are the names given to each stand-in. They are what examples and Argo's own
// tests ask for; the programs inside are the host's, whatever the tag says.
type Aliases struct {
	Busybox []string
	Python  []string
	Argosay []string
}

// DefaultAliases covers the images of the conformance corpus that need nothing but a
// shell, Python or argosay.
func DefaultAliases() Aliases {
	return Aliases{
		Busybox: []string{
			"busybox:latest", "busybox:1", "busybox:1.35", "busybox:stable",
			"alpine:latest", "alpine:3", "alpine:3.6", "alpine:3.7", "alpine:3.18",
			"alpine:3.20", "alpine:3.21", "alpine:3.22", "alpine:3.23",
			"debian:latest", "debian:8.9", "debian:9.1", "debian:9.2", "debian:9.4", "debian:12", "debian:bookworm-slim",
			"ubuntu:latest", "ubuntu:17.10", "ubuntu:22.04", "ubuntu:24.04",
		},
		Python: []string{
			"python:latest", "python:3", "python:3.11", "python:3.12", "python:3.13",
			"python:alpine", "python:alpine3.6", "python:alpine3.23",
			"python:3-alpine", "python:3.11-slim", "python:3.12-slim", "python:3.12-alpine",
		},
		Argosay: []string{"argoproj/argosay:v1", "argoproj/argosay:v2"},
	}
}

var path = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}

// Stock makes the images that a fresh cluster is given.
func Stock(aliases Aliases) ([]Image, error) {
	busybox, err := busyboxLayer("/bin/busybox")
	if err != nil {
		return nil, fmt.Errorf("making the busybox image: %w", err)
	}
	python, err := pythonLayer("/usr/bin/python3")
	if err != nil {
		return nil, fmt.Errorf("making the python image: %w", err)
	}
	argosay := NewLayer()
	argosay.File("usr/local/bin/argosay", 0o755, []byte(argosayScript))
	argosay.Symlink("argosay", "usr/local/bin/argosay")
	argosay.File("usr/local/bin/cowsay", 0o755, []byte("#!/bin/sh\necho \"< $* >\"\n"))
	return []Image{
		{
			Tags: []string{Pause}, Layers: []*Layer{busybox}, Env: path,
			// As process 1 of a pod it must take the signal to end, and reap.
			Entrypoint: []string{"/bin/sh", "-c", "trap 'exit 0' TERM INT; while :; do sleep 86400 & wait $!; done"},
		},
		{Tags: full(aliases.Busybox), Layers: []*Layer{busybox}, Env: path, Cmd: []string{"sh"}},
		{Tags: full(aliases.Python), Layers: []*Layer{busybox, python}, Env: path, Cmd: []string{"python3"}},
		{
			Tags: full(aliases.Argosay), Layers: []*Layer{busybox, argosay}, Env: path,
			Entrypoint: []string{"argosay"}, Cmd: []string{"echo"},
		},
	}, nil
}

// full gives names the form the kubelet asks containerd for.
func full(tags []string) []string {
	var all []string
	for _, tag := range tags {
		repository, _, _ := strings.Cut(tag, ":")
		first, _, nested := strings.Cut(repository, "/")
		switch {
		case !nested:
			tag = "docker.io/library/" + tag
		case !strings.ContainsAny(first, ".:") && first != "localhost":
			tag = "docker.io/" + tag
		}
		all = append(all, tag)
	}
	return all
}

// busyboxLayer is a root file system of the static binary and a link for each applet.
func busyboxLayer(binary string) (*Layer, error) {
	body, err := os.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	list, err := exec.Command(binary, "--list-full").Output()
	if err != nil {
		return nil, fmt.Errorf("listing applets: %w", err)
	}
	l := NewLayer()
	for _, dir := range []string{"etc", "root", "home", "usr", "var", "dev", "proc", "sys", "run", "mnt"} {
		l.Dir(dir, 0o755)
	}
	l.Dir("tmp", 0o1777)
	l.File("etc/passwd", 0o644, []byte("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"))
	l.File("etc/group", 0o644, []byte("root:x:0:\nnogroup:x:65534:\n"))
	l.File("etc/os-release", 0o644, []byte("NAME=busybox\nID=busybox\n"))
	l.File("bin/busybox", 0o755, body)
	for _, applet := range strings.Fields(string(list)) {
		if applet != "bin/busybox" && applet != "linuxrc" && applet != "bin/bash" {
			l.Symlink(applet, "/bin/busybox")
		}
	}
	// Enough for scripts that name bash and use none of what only bash has.
	l.File("bin/bash", 0o755, []byte("#!/bin/sh\nexec /bin/sh \"$@\"\n"))
	return l, nil
}

// argosayScript does what workflows ask of Argo's test image.
const argosayScript = `#!/bin/sh
# argosay: echo [TEXT [FILE]] | cat FILE... | sleep DURATION | exit [CODE]
#          | assert_contains FILE TEXT
usage() { sed -n '2,3p' "$0" >&2; exit 2; }

# Durations are Go's: 1m30s, 2s, 500ms.
seconds() {
	echo "$1" | awk '{
		rest = $0; total = 0
		while (match(rest, /^[0-9.]+(ms|h|m|s)/)) {
			part = substr(rest, 1, RLENGTH); rest = substr(rest, RLENGTH + 1)
			unit = part; sub(/^[0-9.]+/, "", unit)
			scale = unit == "ms" ? 0.001 : unit == "s" ? 1 : unit == "m" ? 60 : 3600
			total += (part + 0) * scale
		}
		if (rest != "" || $0 == "") exit 1
		print total
	}'
}

verb=${1:-echo}
[ $# -gt 0 ] && shift
case $verb in
echo)
	case $# in
	0) echo "hello argo" ;;
	1) printf '%s\n' "$1" ;;
	2) mkdir -p "$(dirname "$2")" && printf '%s' "$1" >"$2" ;;
	*) usage ;;
	esac ;;
cat) [ $# -eq 0 ] || exec cat "$@" ;;
sleep)
	[ $# -eq 1 ] || usage
	time=$(seconds "$1") || { echo "argosay: invalid duration $1" >&2; exit 2; }
	exec sleep "$time" ;;
exit) exit "${1:-0}" ;;
assert_contains)
	[ $# -eq 2 ] || usage
	grep -qF -- "$2" "$1" || { echo "argosay: $1 does not contain $2" >&2; exit 1; } ;;
*) usage ;;
esac
`
