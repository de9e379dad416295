package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"argosy/artifacts/archive"
	"argosy/worker/handover"
)

// stage puts in place what the command needs.
func stage(ctx context.Context, g *gateway, p *handover.Plan) error {
	if p.ScriptPath != "" {
		if err := place(p.ScriptPath, p.Script, 0o755); err != nil {
			return faultf(classExecutor, "staging the script: %w", err)
		}
	}
	for i := range p.Inputs {
		in := &p.Inputs[i]
		if in.Missing {
			continue
		}
		err := fetch(ctx, g, in)
		if errors.Is(err, errNotFound) {
			if in.Optional {
				continue
			}
			return faultf(classInput, "artifact %s failed to load: %w", in.Name, err)
		}
		if err != nil {
			return faultf(classStore, "artifact %s failed to load: %w", in.Name, err)
		}
		if in.Mode != nil {
			if err := chmod(in.Path, fs.FileMode(*in.Mode), in.Recurse); err != nil {
				return faultf(classExecutor, "setting the mode of artifact %s: %w", in.Name, err)
			}
		}
	}
	return nil
}

func place(path, content string, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(content), mode)
}

// fetch gets an artifact's objects from the gateway.
func fetch(ctx context.Context, g *gateway, in *handover.Input) error {
	if in.Raw != nil {
		return place(in.Path, *in.Raw, 0o644)
	}
	for _, object := range in.Objects {
		if object != "" && !filepath.IsLocal(object) {
			return fmt.Errorf("object %q leaves the artifact", object)
		}
		to := filepath.Join(in.Path, object)
		err := g.get(ctx, objectPath(handover.PathInput, in.Name, object), func(r io.Reader) error {
			switch in.Archive {
			case "zip":
				return archive.Unzip(r, to)
			case "none":
				return archive.Write(r, to)
			}
			return archive.Unpack(r, to)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// objectPath is the path of an artifact's object at the gateway.
func objectPath(pattern, name, object string) string {
	path := strings.Replace(pattern, "{name}", url.PathEscape(name), 1)
	if object != "" {
		path += "?object=" + url.QueryEscape(object)
	}
	return path
}

func chmod(path string, mode fs.FileMode, recurse bool) error {
	if !recurse {
		return os.Chmod(path, mode)
	}
	return filepath.WalkDir(path, func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.Type()&fs.ModeSymlink != 0 {
			return err
		}
		return os.Chmod(p, mode)
	})
}
