// Command image writes the container images of a deployment as docker-archive tars,
// without Docker: the product's own, and stand-ins for Redis and MinIO where no registry
// can be reached. The same files make the same image, byte for byte.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

const usage = `usage: image [-o FILE] [-tag TAGS] product ARGOSY ARGOSY-STEP
       image [-o FILE] [-tag TAGS] redis [REDIS-SERVER REDIS-CLI]
       image [-o FILE] [-tag TAGS] minio MINIO
       image [-o FILE] [-tag TAGS] builder BUILDER

flags:
`

func main() {
	switch err := run(os.Args[1:], os.Stderr); {
	case err == nil:
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(args []string, stderr io.Writer) error {
	flags := flag.NewFlagSet("image", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, usage)
		flags.PrintDefaults()
	}
	out := flags.String("o", "", "file to write (default dist/KIND.tar)")
	tags := flags.String("tag", "", "names of the image, with commas between (default argosy:latest, redis:7, minio/minio:latest or argosy-ci-builder:latest)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	args = flags.Args()
	if len(args) == 0 {
		flags.Usage()
		return flag.ErrHelp
	}
	kind, files := args[0], args[1:]
	var (
		r    recipe
		err  error
		also string
	)
	switch {
	case kind == "product" && len(files) == 2:
		r, err = product(files[0], files[1])
		also = "argosy:latest"
	case kind == "redis" && len(files) == 0:
		r, err = redis("/usr/bin/redis-server", "/usr/bin/redis-cli")
		also = "redis:7"
	case kind == "redis" && len(files) == 2:
		r, err = redis(files[0], files[1])
		also = "redis:7"
	case kind == "minio" && len(files) == 1:
		r, err = minio(files[0])
		also = "minio/minio:latest"
	case kind == "builder" && len(files) == 1:
		r, err = builder(files[0])
		also = "argosy-ci-builder:latest"
	default:
		flags.Usage()
		return flag.ErrHelp
	}
	if err != nil {
		return fmt.Errorf("collecting the files of %s: %w", kind, err)
	}
	if *tags == "" {
		*tags = also
	}
	if *out == "" {
		*out = filepath.Join("dist", kind+".tar")
	}
	img, err := r.build()
	if err != nil {
		return fmt.Errorf("building the image of %s: %w", kind, err)
	}
	return write(*out, strings.Split(*tags, ","), img)
}

// write leaves either the whole archive at path or what was there before.
func write(path string, tags []string, img v1.Image) error {
	images := map[name.Tag]v1.Image{}
	for _, t := range tags {
		tag, err := name.NewTag(t)
		if err != nil {
			return fmt.Errorf("reading the tag: %w", err)
		}
		// Written out in full, or containerd would not find the image again.
		tag, err = name.NewTag(full(tag))
		if err != nil {
			return fmt.Errorf("reading the tag: %w", err)
		}
		images[tag] = img
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("making the folder of the archive: %w", err)
	}
	temporary := path + ".part"
	defer os.Remove(temporary)
	if err := tarball.MultiWriteToFile(temporary, images); err != nil {
		return fmt.Errorf("writing the archive: %w", err)
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("moving the archive into place: %w", err)
	}
	return nil
}

// full spells a tag as the kubelet asks containerd for it.
func full(t name.Tag) string {
	registry := t.RegistryStr()
	if registry == name.DefaultRegistry {
		registry = "docker.io"
	}
	return registry + "/" + t.RepositoryStr() + ":" + t.TagStr()
}
