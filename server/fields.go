package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// fieldSet is the `fields` parameter: "a.b,c" keeps these paths, "-a.b,c" drops them.
// Lists are transparent: items.metadata.name speaks of every item.
type fieldSet struct {
	paths   [][]string
	exclude bool
}

func parseFields(s string) fieldSet {
	rest, exclude := strings.CutPrefix(s, "-")
	f := fieldSet{exclude: exclude}
	for p := range strings.SplitSeq(rest, ",") {
		if p = strings.TrimSpace(p); p != "" {
			f.paths = append(f.paths, strings.Split(p, "."))
		}
	}
	return f
}

// wants says whether anything at or below the path survives, so that what is expensive to
// make need not be made.
func (f fieldSet) wants(path ...string) bool {
	if len(f.paths) == 0 {
		return true
	}
	for _, p := range f.paths {
		n := min(len(p), len(path))
		overlap := equal(p[:n], path[:n])
		if f.exclude && overlap && len(p) <= len(path) {
			return false
		}
		if !f.exclude && overlap {
			return true
		}
	}
	return f.exclude
}

// encode marshals v with only the wanted fields.
func (f fieldSet) encode(v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil || len(f.paths) == 0 {
		return data, err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber() // integers must stay what they are
	var tree any
	if err := d.Decode(&tree); err != nil {
		return nil, fmt.Errorf("trimming fields: %w", err)
	}
	return json.Marshal(f.trim(tree, f.paths))
}

// trim keeps or drops below one level; paths are relative to it.
func (f fieldSet) trim(v any, paths [][]string) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = f.trim(v[i], paths)
		}
	case map[string]any:
		for key, child := range v {
			var below [][]string
			listed := false
			for _, p := range paths {
				switch {
				case p[0] != key:
				case len(p) == 1:
					listed = true
				default:
					below = append(below, p[1:])
				}
			}
			switch {
			case listed && f.exclude:
				delete(v, key)
			case listed:
			case len(below) > 0:
				v[key] = f.trim(child, below)
			case !f.exclude:
				delete(v, key)
			}
		}
	}
	return v
}

func equal(a, b []string) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
