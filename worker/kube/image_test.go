//go:build cluster

package kube

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"runtime"
)

// writeImage writes a docker-archive whose image has nothing but the binary in its PATH, and
// returns the image's name.
func writeImage(path, binary string) (string, error) {
	program, err := os.ReadFile(binary)
	if err != nil {
		return "", err
	}
	layer, err := tarOf(map[string][]byte{"argosy-step": program}, 0o755)
	if err != nil {
		return "", err
	}
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH,
		"os":           "linux",
		"config":       map[string]any{"Env": []string{"PATH=/"}, "User": "65532:65532"},
		"rootfs":       map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + sum(layer)}},
	})
	if err != nil {
		return "", err
	}
	name := "docker.io/library/argosy-step:" + sum(program)[:12]
	manifest, err := json.Marshal([]map[string]any{{"Config": "config.json", "RepoTags": []string{name}, "Layers": []string{"layer.tar"}}})
	if err != nil {
		return "", err
	}
	archive, err := tarOf(map[string][]byte{"manifest.json": manifest, "config.json": config, "layer.tar": layer}, 0o644)
	if err != nil {
		return "", err
	}
	return name, os.WriteFile(path, archive, 0o644)
}

func tarOf(files map[string][]byte, mode int64) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, data := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: int64(len(data)), Typeflag: tar.TypeReg}); err != nil {
			return nil, err
		}
		if _, err := w.Write(data); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return b.Bytes(), err
}

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}
