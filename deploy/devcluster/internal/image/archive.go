// Package image writes container images without Docker: archives in the format of
// `docker save`, which containerd imports, and the stand-ins for the images that
// workflows name, made from programs of the host's distribution.
package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"time"
)

// Image is one image to be written: layers from the bottom up, and what runs in it.
type Image struct {
	Tags       []string
	Layers     []*Layer
	Entrypoint []string
	Cmd        []string
	Env        []string
}

// Layer is a file tree packed as a tar. Images may share layers.
type Layer struct {
	content bytes.Buffer
	tar     *tar.Writer
	err     error
	dirs    map[string]bool
}

// NewLayer gives an empty layer.
func NewLayer() *Layer {
	l := &Layer{dirs: map[string]bool{}}
	l.tar = tar.NewWriter(&l.content)
	return l
}

// epoch stands in for every file time, so that the same files make the same image.
var epoch = time.Unix(0, 0)

// File adds a regular file at a path without leading slash.
func (l *Layer) File(path string, mode fs.FileMode, body []byte) {
	l.parents(path)
	l.add(&tar.Header{
		Typeflag: tar.TypeReg, Name: path, Mode: int64(mode.Perm()), Size: int64(len(body)),
	}, body)
}

// Dir adds a folder; mode is as chmod takes it, sticky bit included.
func (l *Layer) Dir(path string, mode int64) {
	if l.dirs[path] {
		return
	}
	l.parents(path)
	l.dirs[path] = true
	l.add(&tar.Header{Typeflag: tar.TypeDir, Name: path + "/", Mode: mode}, nil)
}

// Symlink adds a symbolic link.
func (l *Layer) Symlink(path, target string) {
	l.parents(path)
	l.add(&tar.Header{Typeflag: tar.TypeSymlink, Name: path, Linkname: target, Mode: 0o777}, nil)
}

// parents adds the folders above path, which some unpackers do not make by themselves.
func (l *Layer) parents(path string) {
	for i, c := range path {
		if c == '/' {
			l.Dir(path[:i], 0o755)
		}
	}
}

// add keeps the first error for pack to report, so that trees are written plainly.
func (l *Layer) add(header *tar.Header, body []byte) {
	if l.err != nil {
		return
	}
	header.ModTime = epoch
	header.Format = tar.FormatPAX
	if err := l.tar.WriteHeader(header); err != nil {
		l.err = fmt.Errorf("packing %s: %w", header.Name, err)
		return
	}
	if _, err := l.tar.Write(body); err != nil {
		l.err = fmt.Errorf("packing %s: %w", header.Name, err)
	}
}

// pack ends the layer and gives its bytes. Further calls give the same.
func (l *Layer) pack() ([]byte, error) {
	if l.err == nil && l.tar != nil {
		l.err = l.tar.Close()
		l.tar = nil
	}
	return l.content.Bytes(), l.err
}

// The parts of the archive format that containerd reads.
type (
	config struct {
		Architecture string        `json:"architecture"`
		OS           string        `json:"os"`
		Created      time.Time     `json:"created"`
		Config       runtimeConfig `json:"config"`
		RootFS       rootFS        `json:"rootfs"`
	}
	runtimeConfig struct {
		Entrypoint []string `json:"Entrypoint,omitempty"`
		Cmd        []string `json:"Cmd,omitempty"`
		Env        []string `json:"Env,omitempty"`
	}
	rootFS struct {
		Type    string   `json:"type"`
		DiffIDs []string `json:"diff_ids"`
	}
	manifest struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
)

// Write writes one archive holding all the images.
func Write(w io.Writer, images ...Image) error {
	archive := tar.NewWriter(w)
	written := map[string]bool{}
	put := func(name string, body []byte) error {
		if written[name] {
			return nil
		}
		written[name] = true
		header := &tar.Header{
			Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(body)), ModTime: epoch,
		}
		if err := archive.WriteHeader(header); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
		if _, err := archive.Write(body); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
		return nil
	}
	manifests := []manifest{}
	for _, img := range images {
		m := manifest{RepoTags: img.Tags}
		cfg := config{
			Architecture: runtime.GOARCH, OS: "linux", Created: epoch.UTC(),
			Config: runtimeConfig{Entrypoint: img.Entrypoint, Cmd: img.Cmd, Env: img.Env},
			RootFS: rootFS{Type: "layers"},
		}
		for _, layer := range img.Layers {
			body, err := layer.pack()
			if err != nil {
				return err
			}
			digest := digestOf(body)
			if err := put(digest+".tar", body); err != nil {
				return err
			}
			m.Layers = append(m.Layers, digest+".tar")
			cfg.RootFS.DiffIDs = append(cfg.RootFS.DiffIDs, "sha256:"+digest)
		}
		body, err := json.Marshal(cfg)
		if err != nil {
			return fmt.Errorf("encoding the config of %v: %w", img.Tags, err)
		}
		m.Config = digestOf(body) + ".json"
		if err := put(m.Config, body); err != nil {
			return err
		}
		manifests = append(manifests, m)
	}
	body, err := json.Marshal(manifests)
	if err != nil {
		return fmt.Errorf("encoding the manifest: %w", err)
	}
	if err := put("manifest.json", body); err != nil {
		return err
	}
	if err := archive.Close(); err != nil {
		return fmt.Errorf("ending the archive: %w", err)
	}
	return nil
}

func digestOf(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}
