// Command builder is what the steps of the example have in their image: it builds a container image
// without a daemon, keeps images as a registry, and puts a tag into a git repository.
//
//	builder build -f DOCKERFILE -t IMAGE [-arg NAME=VALUE] [-digest FILE] CONTEXT
//	builder inspect IMAGE
//	builder registry ADDRESS
//	builder bump -repo URL -file PATH -image IMAGE:TAG
//
// Of a Dockerfile it knows what needs nothing to run: FROM, ARG, COPY, ENV, LABEL, WORKDIR, USER,
// ENTRYPOINT and CMD. Registries are reached by plain http.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "builder:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	commands := map[string]func(context.Context, []string, io.Writer) error{
		"build": build, "inspect": inspect, "registry": serve, "bump": bump,
	}
	if len(args) == 0 || commands[args[0]] == nil {
		return errors.New("usage: builder build|inspect|registry|bump ...")
	}
	return commands[args[0]](ctx, args[1:], out)
}

// pairs collects flags of the form NAME=VALUE.
type pairs map[string]string

func (p pairs) String() string { return "" }

func (p pairs) Set(pair string) error {
	name, value, ok := strings.Cut(pair, "=")
	if !ok {
		return fmt.Errorf("%q is not NAME=VALUE", pair)
	}
	p[name] = value
	return nil
}

func build(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("build", flag.ContinueOnError)
	file := flags.String("f", "Dockerfile", "the Dockerfile")
	tag := flags.String("t", "", "the image's name in its registry")
	digestFile := flags.String("digest", "", "file to write the image's digest to")
	given := pairs{}
	flags.Var(given, "arg", "a value for an ARG, as NAME=VALUE")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return errors.New("build wants one context")
	}
	text, err := os.ReadFile(*file)
	if err != nil {
		return err
	}
	to, err := name.ParseReference(*tag, name.Insecure)
	if err != nil {
		return fmt.Errorf("reading the image's name: %w", err)
	}
	img, err := buildImage(ctx, string(text), given, flags.Arg(0))
	if err != nil {
		return fmt.Errorf("building %s: %w", *file, err)
	}
	if err := remote.Write(to, img, remote.WithContext(ctx)); err != nil {
		return fmt.Errorf("pushing %s: %w", to, err)
	}
	digest, err := img.Digest()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "pushed %s@%s\n", to, digest)
	if *digestFile != "" {
		return os.WriteFile(*digestFile, []byte(digest.String()), 0o644) //nolint:gosec // others read it
	}
	return nil
}

func inspect(ctx context.Context, args []string, out io.Writer) error {
	if len(args) != 1 {
		return errors.New("inspect wants one image")
	}
	from, err := name.ParseReference(args[0], name.Insecure)
	if err != nil {
		return err
	}
	img, err := remote.Image(from, remote.WithContext(ctx))
	if err != nil {
		return err
	}
	file, err := img.ConfigFile()
	if err != nil {
		return err
	}
	shown := json.NewEncoder(out)
	return shown.Encode(map[string]any{"entrypoint": file.Config.Entrypoint, "labels": file.Config.Labels, "layers": len(file.RootFS.DiffIDs)})
}

// serve keeps images in memory until it is told to end.
func serve(ctx context.Context, args []string, _ io.Writer) error {
	if len(args) != 1 {
		return errors.New("registry wants an address")
	}
	server := &http.Server{
		Addr: args[0], Handler: registry.New(registry.Logger(log.New(os.Stdout, "", 0))), ReadHeaderTimeout: 10 * time.Second,
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
