package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// nobody is the user that images of services run as unless the pod says otherwise.
const nobody = "65532"

// epoch stands in for every time, so that the same files make the same image.
var epoch = time.Unix(0, 0).UTC()

// recipe says what goes into an image. Folders on the way to an entry need no mention.
type recipe struct {
	entries map[string]entry // by path without leading slash
	config  v1.Config
}

// entry is one of: a file of this machine, text, a link, a folder.
type entry struct {
	source  string
	text    string
	link    string
	isDir   bool
	mode    fs.FileMode
	ownedBy int // both user and group
}

// build packs the recipe as an image of one layer.
func (r recipe) build() (v1.Image, error) {
	var packed bytes.Buffer
	if err := r.pack(&packed); err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(packed.Bytes())), nil
	}, tarball.WithCompressionLevel(gzip.BestSpeed))
	if err != nil {
		return nil, fmt.Errorf("making the layer: %w", err)
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, fmt.Errorf("adding the layer: %w", err)
	}
	file, err := img.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("reading the config: %w", err)
	}
	file = file.DeepCopy()
	file.Architecture, file.OS = runtime.GOARCH, "linux"
	file.Created = v1.Time{Time: epoch}
	file.Config = r.config
	img, err = mutate.ConfigFile(img, file)
	if err != nil {
		return nil, fmt.Errorf("setting the config: %w", err)
	}
	return img, nil
}

// pack writes the tree as a tar, parents before children.
func (r recipe) pack(w io.Writer) error {
	all := map[string]entry{}
	for p, e := range r.entries {
		for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
			if _, ok := r.entries[dir]; !ok {
				all[dir] = entry{isDir: true, mode: 0o755}
			}
		}
		all[p] = e
	}
	paths := make([]string, 0, len(all))
	for p := range all {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	archive := tar.NewWriter(w)
	for _, p := range paths {
		if err := add(archive, p, all[p]); err != nil {
			return fmt.Errorf("packing %s: %w", p, err)
		}
	}
	if err := archive.Close(); err != nil {
		return fmt.Errorf("ending the layer: %w", err)
	}
	return nil
}

func add(archive *tar.Writer, p string, e entry) error {
	header := &tar.Header{
		Typeflag: tar.TypeReg, Name: p, Mode: int64(e.mode.Perm()), ModTime: epoch,
		Uid: e.ownedBy, Gid: e.ownedBy, Format: tar.FormatPAX,
	}
	if e.mode&fs.ModeSticky != 0 {
		header.Mode |= 0o1000
	}
	var body io.Reader = strings.NewReader(e.text)
	header.Size = int64(len(e.text))
	switch {
	case e.isDir:
		header.Typeflag, header.Name = tar.TypeDir, p+"/"
	case e.link != "":
		header.Typeflag, header.Linkname, header.Mode = tar.TypeSymlink, e.link, 0o777
	case e.source != "":
		f, err := os.Open(e.source)
		if err != nil {
			return err
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return err
		}
		body, header.Size = f, info.Size()
	}
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	_, err := io.Copy(archive, body)
	return err
}
