// Command devcluster brings up and takes down the one-node Kubernetes and the MinIO
// server that the product's tests run on. See README.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"

	"argosy/deploy/devcluster/internal/cache"
	"argosy/deploy/devcluster/internal/cluster"
	"argosy/deploy/devcluster/internal/debian"
	"argosy/deploy/devcluster/internal/image"
)

const usage = `usage: devcluster COMMAND

  up             bring up Kubernetes and MinIO; returns at once if they are healthy
    -minio-only    only MinIO
    -kubeconfig F  use the cluster of F and start none (default $KUBECONFIG)
  down           take everything away
  status         say how each part is; exit code 0 only if all are well
  env            print shell exports for tests: eval "$(devcluster env)"
  load-image F   import a docker-archive tar for pods to use
  kubectl ...    run kubectl against the cluster
  deps           install packages and build all programs, start nothing
  minio-binary   print the path of the MinIO server, built if need be
  kwok-binary    print the path of kwok, which simulates nodes, built if need be
`

// errUnhealthy is the outcome of status, which has said the rest itself.
var errUnhealthy = errors.New("not healthy")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case err == nil:
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case errors.Is(err, errUnhealthy):
		os.Exit(1)
	default:
		fmt.Fprintln(os.Stderr, "devcluster:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return flag.ErrHelp
	}
	command, args := args[0], args[1:]
	switch command {
	case "up":
		return up(ctx, args, stdout, stderr)
	case "down":
		return cluster.Down(ctx)
	case "status":
		return status(ctx, stdout)
	case "env":
		return env(stdout)
	case "load-image":
		return loadImage(ctx, args)
	case "kubectl":
		return kubectl(ctx, args, stderr)
	case "deps":
		_, err := binaries(ctx, stderr, false)
		return err
	case "minio-binary":
		return printBinary(ctx, cache.MinIO, stdout, stderr)
	case "kwok-binary":
		return printBinary(ctx, cache.Kwok, stdout, stderr)
	case cluster.NodeCommand:
		return cluster.RunNode(slog.New(slog.NewTextHandler(stderr, nil)))
	default:
		fmt.Fprint(stderr, usage)
		return flag.ErrHelp
	}
}

func up(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("up", flag.ContinueOnError)
	flags.SetOutput(stderr)
	minioOnly := flags.Bool("minio-only", false, "start only MinIO")
	kubeconfig := flags.String("kubeconfig", foreignKubeconfig(), "use this cluster and start none")
	aliases := image.DefaultAliases()
	tagsFlag(flags, "busybox", "image names that the busybox stand-in answers to", &aliases.Busybox)
	tagsFlag(flags, "python", "image names that the Python stand-in answers to", &aliases.Python)
	tagsFlag(flags, "argosay", "image names that the argosay stand-in answers to", &aliases.Argosay)
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *kubeconfig == cluster.Kubeconfig {
		*kubeconfig = ""
	}
	if *kubeconfig != "" && !*minioOnly {
		fmt.Fprintln(stderr, "a kubeconfig is given: using that cluster, starting none (and no MinIO, see -minio-only)")
		fmt.Fprintln(stdout, *kubeconfig)
		return nil
	}
	if os.Geteuid() != 0 {
		return errors.New("starting the cluster takes root")
	}
	bin, err := binaries(ctx, stderr, *minioOnly)
	if err != nil {
		return err
	}
	err = cluster.Up(ctx, cluster.Options{
		Binaries: bin, MinIOOnly: *minioOnly, Aliases: aliases, Log: stderr,
	})
	if err != nil {
		return err
	}
	if *minioOnly {
		fmt.Fprintln(stdout, cluster.S3Endpoint)
	} else {
		fmt.Fprintln(stdout, cluster.Kubeconfig)
	}
	return nil
}

// tagsFlag lets a comma-separated list replace the default names.
func tagsFlag(flags *flag.FlagSet, name, help string, tags *[]string) {
	flags.Func(name+"-images", help, func(value string) error {
		*tags = strings.Split(value, ",")
		return nil
	})
}

// foreignKubeconfig is $KUBECONFIG unless it is our own, which env told people to set.
func foreignKubeconfig() string {
	if path := os.Getenv("KUBECONFIG"); path != cluster.Kubeconfig {
		return path
	}
	return ""
}

func status(ctx context.Context, stdout io.Writer) error {
	all := cluster.Status(ctx)
	table := tabwriter.NewWriter(stdout, 0, 4, 2, ' ', 0)
	var outcome error
	for _, h := range all {
		if h.Err != nil {
			outcome = errUnhealthy
			fmt.Fprintf(table, "%s\t%s\n", h.Name, h.Err)
			continue
		}
		fmt.Fprintf(table, "%s\thealthy\tpid %d\n", h.Name, h.PID)
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("writing status: %w", err)
	}
	return outcome
}

func env(stdout io.Writer) error {
	kubeconfig := foreignKubeconfig()
	if _, err := os.Stat(cluster.Kubeconfig); err == nil && kubeconfig == "" {
		kubeconfig = cluster.Kubeconfig
	}
	if kubeconfig != "" {
		fmt.Fprintf(stdout, "export KUBECONFIG=%s\n", kubeconfig)
	}
	for _, v := range cluster.Environment() {
		fmt.Fprintln(stdout, "export "+v)
	}
	return nil
}

func loadImage(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("load-image wants the path of a docker-archive tar")
	}
	for _, path := range args {
		if err := cluster.LoadImage(ctx, path); err != nil {
			return err
		}
	}
	return nil
}

func kubectl(ctx context.Context, args []string, stderr io.Writer) error {
	store, err := openCache(stderr)
	if err != nil {
		return err
	}
	bin, err := store.Ensure(ctx, cache.Kubernetes)
	if err != nil {
		return err
	}
	if os.Getenv("KUBECONFIG") == "" {
		if err := os.Setenv("KUBECONFIG", cluster.Kubeconfig); err != nil {
			return fmt.Errorf("running kubectl: %w", err)
		}
	}
	path := filepath.Join(bin, "kubectl")
	return fmt.Errorf("running kubectl: %w", syscall.Exec(path, append([]string{path}, args...), os.Environ()))
}

func printBinary(ctx context.Context, p cache.Program, stdout, stderr io.Writer) error {
	store, err := openCache(stderr)
	if err != nil {
		return err
	}
	bin, err := store.Ensure(ctx, p)
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, filepath.Join(bin, p.Name))
	return nil
}

func openCache(log io.Writer) (cache.Cache, error) {
	dir, err := cache.Dir()
	if err != nil {
		return cache.Cache{}, err
	}
	here, err := os.Getwd()
	if err != nil {
		return cache.Cache{}, fmt.Errorf("finding the build modules: %w", err)
	}
	source, err := cache.FindSource(here)
	if err != nil {
		return cache.Cache{}, err
	}
	return cache.Cache{Root: dir, Source: source, Log: log}, nil
}

// binaries makes sure of all that the cluster is made of.
func binaries(ctx context.Context, log io.Writer, minioOnly bool) (cluster.Binaries, error) {
	var bin cluster.Binaries
	if err := debian.Ensure(ctx, log); err != nil {
		return bin, err
	}
	store, err := openCache(log)
	if err != nil {
		return bin, err
	}
	if bin.MinIO, err = store.Ensure(ctx, cache.MinIO); err != nil || minioOnly {
		return bin, err
	}
	if bin.Kubernetes, err = store.Ensure(ctx, cache.Kubernetes); err != nil {
		return bin, err
	}
	if bin.Containerd, err = store.Ensure(ctx, cache.Containerd); err != nil {
		return bin, err
	}
	if bin.Etcd, err = store.Ensure(ctx, cache.Etcd); err != nil {
		return bin, err
	}
	bin.CoreDNS, err = store.Ensure(ctx, cache.CoreDNS)
	return bin, err
}
