package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"argosy/deploy/devcluster/internal/image"
	"argosy/deploy/devcluster/internal/proc"
)

// NodeCommand is the argument under which this program is started again as the node.
const NodeCommand = "run-node"

// upTimeout bounds a start, the building of programs not included.
const upTimeout = 3 * time.Minute

// Options are what Up may be asked for.
type Options struct {
	Binaries  Binaries
	MinIOOnly bool
	Aliases   image.Aliases
	Log       io.Writer
}

// Up brings the cluster up unless a healthy one is there. Anything less than healthy is
// swept away first.
func Up(ctx context.Context, opts Options) error {
	unlock, err := lock()
	if err != nil {
		return err
	}
	defer unlock()
	ctx, cancel := context.WithTimeoutCause(ctx, upTimeout, fmt.Errorf("not up within %s", upTimeout))
	defer cancel()
	if settled(ctx, opts.MinIOOnly) {
		return nil
	}
	if err := Sweep(ctx); err != nil {
		return err
	}
	begin := time.Now()
	if err := prepare(opts, begin); err != nil {
		return errors.Join(err, Sweep(context.WithoutCancel(ctx)))
	}
	if err := startNode(ctx, opts); err != nil {
		return errors.Join(err, Sweep(context.WithoutCancel(ctx)))
	}
	fmt.Fprintf(opts.Log, "up in %.1f s\n", time.Since(begin).Seconds())
	return nil
}

// prepare lays out the state folder.
func prepare(opts Options, now time.Time) error {
	dirs := []string{logDir, pkiDir, configDir, filepath.Join(minioDir, s3Bucket)}
	for target, source := range private {
		dirs = append(dirs, source)
		if err := makeMountPoint(target); err != nil {
			return err
		}
	}
	for _, dir := range dirs {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("laying out %s: %w", Root, err)
		}
	}
	if err := (plan{Binaries: opts.Binaries, MinIOOnly: opts.MinIOOnly}).save(); err != nil {
		return err
	}
	if opts.MinIOOnly {
		return nil
	}
	if err := makeCgroups(); err != nil {
		return err
	}
	if err := writePKI(now); err != nil {
		return err
	}
	return writeConfigs()
}

// startNode starts the node, links it to the host, fills it with images, and waits until
// all of it answers.
func startNode(ctx context.Context, opts Options) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	out, err := os.Create(logOf("node"))
	if err != nil {
		return fmt.Errorf("starting the node: %w", err)
	}
	defer out.Close()
	node := exec.Command("/proc/self/exe", NodeCommand)
	node.Args[0] = "devcluster-node"
	node.Dir = "/"
	node.Env = append(plainEnv(), marker)
	node.Stdout, node.Stderr = out, out
	node.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true,
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC,
	}
	if err := node.Start(); err != nil {
		return fmt.Errorf("starting the node: %w", err)
	}
	id, err := proc.Of(node.Process.Pid)
	if err != nil {
		return fmt.Errorf("starting the node: %w", err)
	}
	if err := id.Save(pidFile); err != nil {
		return err
	}
	go func() {
		_ = node.Wait() // its log says how it ended
		cancel(fmt.Errorf("the node ended: %s", tail(logOf("node"))))
	}()
	err = ip(ctx,
		"link add "+hostLink+" type veth peer name "+uplink+" netns "+strconv.Itoa(id.PID),
		"addr add "+hostIP+"/30 dev "+hostLink,
		"link set "+hostLink+" up",
		"route add "+podCIDR+" via "+uplinkIP,
		"route add "+serviceCIDR+" via "+uplinkIP,
	)
	if err != nil {
		return fmt.Errorf("linking the node to the host: %w", err)
	}
	if !opts.MinIOOnly {
		if err := importStock(ctx, opts.Aliases); err != nil {
			return err
		}
	}
	for _, c := range components(plan{Binaries: opts.Binaries, MinIOOnly: opts.MinIOOnly}) {
		if err := await(ctx, c.name, c.probe); err != nil {
			return err
		}
	}
	if opts.MinIOOnly {
		return nil
	}
	if err := await(ctx, "the default storage class", provideStorage); err != nil {
		return err
	}
	return await(ctx, "the default service account", usable)
}

// plainEnv keeps of the caller's environment what programs cannot do without.
func plainEnv() []string {
	return []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8"}
}

// importStock gives containerd the images that every cluster starts with.
func importStock(ctx context.Context, aliases image.Aliases) error {
	images, err := image.Stock(aliases)
	if err != nil {
		return err
	}
	path := in("stock.tar")
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("writing the stock images: %w", err)
	}
	defer os.Remove(path)
	defer f.Close()
	if err := image.Write(f, images...); err != nil {
		return fmt.Errorf("writing the stock images: %w", err)
	}
	if err := await(ctx, "containerd", dial(containerd)); err != nil {
		return err
	}
	return LoadImage(ctx, path)
}

// LoadImage imports a docker-archive file, for pods to use under the tags in it.
func LoadImage(ctx context.Context, path string) error {
	cmd := exec.CommandContext(ctx, "ctr", "--address", containerd, "--namespace", "k8s.io", "images", "import", path)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("importing %s: %w: %s", path, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// lock admits one Up or Down at a time. The kernel gives it back if the holder dies.
func lock() (unlock func(), err error) {
	f, err := os.OpenFile(lockFile, os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o644)
	if err != nil {
		return nil, fmt.Errorf("locking the cluster: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("locking the cluster: %w", err)
	}
	return func() { f.Close() }, nil
}

// tail gives the end of a log, for an error that has to explain itself.
func tail(path string) string {
	body, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	const enough = 2000
	return strings.TrimSpace(string(body[max(0, len(body)-enough):]))
}
