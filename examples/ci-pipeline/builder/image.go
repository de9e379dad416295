package main

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// buildImage does what a Dockerfile says.
func buildImage(ctx context.Context, text string, given pairs, folder string) (v1.Image, error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	b := &building{ctx: ctx, root: root, args: map[string]string{}, given: given}
	for i, line := range strings.Split(strings.ReplaceAll(text, "\\\n", " "), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		if err := b.do(strings.ToUpper(word), strings.TrimSpace(rest)); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	if b.image == nil {
		return nil, errors.New("there is no FROM")
	}
	file, err := b.image.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Config = "linux", runtime.GOARCH, b.config
	return mutate.ConfigFile(b.image, file)
}

type building struct {
	ctx    context.Context
	root   *os.Root
	args   map[string]string
	given  pairs
	image  v1.Image
	config v1.Config
}

func (b *building) do(word, rest string) error {
	rest = os.Expand(rest, func(name string) string { return b.args[name] })
	if b.image == nil && word != "FROM" && word != "ARG" {
		return fmt.Errorf("%s comes before FROM", word)
	}
	switch word {
	case "FROM":
		return b.from(rest)
	case "ARG":
		name, value, _ := strings.Cut(rest, "=")
		if v, ok := b.given[name]; ok {
			value = v
		}
		b.args[name] = value
	case "COPY":
		return b.copy(strings.Fields(rest))
	case "ENV":
		b.config.Env = append(b.config.Env, rest)
	case "LABEL":
		name, value, _ := strings.Cut(rest, "=")
		if b.config.Labels == nil {
			b.config.Labels = map[string]string{}
		}
		b.config.Labels[name] = strings.Trim(value, `"`)
	case "WORKDIR":
		b.config.WorkingDir = rest
	case "USER":
		b.config.User = rest
	case "ENTRYPOINT":
		return list(word, rest, &b.config.Entrypoint)
	case "CMD":
		return list(word, rest, &b.config.Cmd)
	default:
		return fmt.Errorf("this builder does not know %s", word)
	}
	return nil
}

func list(word, text string, into *[]string) error {
	if err := json.Unmarshal([]byte(text), into); err != nil {
		return fmt.Errorf("%s wants a list in JSON: %w", word, err)
	}
	return nil
}

func (b *building) from(base string) error {
	if b.image != nil {
		return errors.New("this builder has one stage")
	}
	if base == "scratch" {
		b.image = empty.Image
		return nil
	}
	ref, err := name.ParseReference(base, name.Insecure)
	if err != nil {
		return err
	}
	if b.image, err = remote.Image(ref, remote.WithContext(b.ctx)); err != nil {
		return err
	}
	file, err := b.image.ConfigFile()
	if err != nil {
		return err
	}
	b.config = *file.Config.DeepCopy()
	return nil
}

// copy adds a layer with files of the context, and never of what is outside of it.
func (b *building) copy(paths []string) error {
	if len(paths) < 2 {
		return errors.New("COPY wants a source and a destination")
	}
	to := paths[len(paths)-1]
	var packed bytes.Buffer
	archive := tar.NewWriter(&packed)
	for _, from := range paths[:len(paths)-1] {
		if err := b.add(archive, filepath.Clean(from), to, len(paths) > 2); err != nil {
			return fmt.Errorf("copying %s: %w", from, err)
		}
	}
	if err := archive.Close(); err != nil {
		return err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed.Bytes())), nil })
	if err == nil {
		b.image, err = mutate.AppendLayers(b.image, layer)
	}
	return err
}

// add packs a file, or what is in a folder.
func (b *building) add(archive *tar.Writer, from, to string, several bool) error {
	return fs.WalkDir(b.root.FS(), from, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		at := to
		switch {
		case name != from:
			at = path.Join(to, strings.TrimPrefix(name, from+"/"))
		case several || strings.HasSuffix(to, "/"):
			at = path.Join(to, path.Base(name))
		}
		body, err := b.root.ReadFile(name)
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		header := &tar.Header{Name: strings.TrimPrefix(path.Clean(at), "/"), Mode: int64(info.Mode().Perm()), Size: int64(len(body)), ModTime: time.Unix(0, 0)}
		if slices.Contains(strings.Split(header.Name, "/"), "..") {
			return fmt.Errorf("%s leaves the image", at)
		}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		_, err = archive.Write(body)
		return err
	})
}
