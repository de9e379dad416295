package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"argosy/artifacts/archive"
	"argosy/worker/handover"
)

// collect adds the step's outputs to its outcome. What a failed command wrote is kept as far
// as it can be; for one that succeeded the first failure is returned.
func collect(ctx context.Context, g *gateway, p *handover.Plan, o *handover.Outcome) error {
	var first error
	for i := range p.Parameters {
		param := &p.Parameters[i]
		value, err := readParameter(param)
		if err != nil {
			first = errors.Join(first, faultf(classOutput, "output parameter %s: %w", param.Name, err))
			continue
		}
		if o.Parameters == nil {
			o.Parameters = map[string]string{}
		}
		o.Parameters[param.Name] = value
	}
	if first != nil && o.Code == 0 {
		return first
	}
	for i := range p.Outputs {
		out := &p.Outputs[i]
		err := keep(ctx, g, out)
		switch {
		case err == nil:
			o.Artifacts = append(o.Artifacts, out.Name)
		case errors.Is(err, fs.ErrNotExist) && out.Optional:
		case errors.Is(err, fs.ErrNotExist):
			first = errors.Join(first, faultf(classOutput, "output artifact %s: %w", out.Name, err))
		case errors.Is(err, errRefused):
			return faultf(classLost, "%w", err)
		default:
			first = errors.Join(first, faultf(classStore, "%w", err))
		}
		if first != nil && o.Code == 0 {
			return first
		}
	}
	return first
}

func readParameter(p *handover.Parameter) (string, error) {
	data, err := os.ReadFile(p.Path)
	if err != nil {
		if p.Default != nil {
			return *p.Default, nil
		}
		return "", err
	}
	return strings.TrimSuffix(string(data), "\n"), nil
}

// keep sends an output artifact to the gateway. Its error is fs.ErrNotExist if there is
// nothing to send.
func keep(ctx context.Context, g *gateway, out *handover.Output) error {
	info, err := os.Stat(out.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return &fs.PathError{Op: "open", Path: out.Path, Err: syscall.ENOENT}
	}
	if err != nil {
		return fmt.Errorf("reading output artifact %s: %w", out.Name, err)
	}
	switch {
	case out.Archive == "zip":
		return send(ctx, g, out, "", func(w io.Writer) error { return archive.Pack(w, out.Path, archive.Format{Kind: archive.Zip}) })
	case out.Archive == "tar":
		format := archive.Format{Kind: archive.Tar}
		if out.Level != nil {
			level := int(*out.Level)
			format.Level = &level
		}
		return send(ctx, g, out, "", func(w io.Writer) error { return archive.Pack(w, out.Path, format) })
	case info.IsDir():
		return keepTree(ctx, g, out)
	}
	return sendFile(ctx, g, out, "", out.Path)
}

// keepTree sends the files of a directory one by one.
func keepTree(ctx context.Context, g *gateway, out *handover.Output) error {
	return filepath.WalkDir(out.Path, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return hideAbsence(err)
		}
		info, err := os.Stat(path) // links count as what they lead to
		if err != nil {
			return hideAbsence(err)
		}
		if !info.Mode().IsRegular() {
			return nil
		}
		object, err := filepath.Rel(out.Path, path)
		if err != nil {
			return err
		}
		return sendFile(ctx, g, out, filepath.ToSlash(object), path)
	})
}

// hideAbsence keeps a file that vanished, or a dangling link, from looking as if the whole
// artifact were missing.
func hideAbsence(err error) error { return errors.New(err.Error()) }

func sendFile(ctx context.Context, g *gateway, out *handover.Output, object, path string) error {
	return send(ctx, g, out, object, func(w io.Writer) error {
		return archive.Pack(w, path, archive.Format{Kind: archive.None})
	})
}

// send streams what pack writes to the gateway.
func send(ctx context.Context, g *gateway, out *handover.Output, object string, pack func(io.Writer) error) error {
	err := g.putOutput(ctx, out.Name, object, pack)
	if err != nil {
		return fmt.Errorf("saving output artifact %s: %w", out.Name, err)
	}
	return nil
}
