package spec

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// pathString writes a path as spec.templates[0].steps[1][2].when. A key that is not a plain
// word is quoted: metadata.labels["a.b/c"].
func pathString(path []segment) string {
	var b strings.Builder
	for _, s := range path {
		switch {
		case s.key == "":
			b.WriteString("[" + strconv.Itoa(s.index) + "]")
		case !plainKey(s.key):
			b.WriteString("[" + strconv.Quote(s.key) + "]")
		default:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(s.key)
		}
	}
	return b.String()
}

// keyPath returns the path of a map's entry.
func keyPath(path, key string) string {
	if !plainKey(key) {
		return path + "[" + strconv.Quote(key) + "]"
	}
	return path + "." + key
}

func plainKey(s string) bool {
	for _, c := range s {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return s != ""
}

// parsePath reads what pathString writes. What it cannot read ends the path.
func parsePath(path string) []segment {
	var out []segment
	for path != "" {
		switch {
		case path[0] == '.':
			path = path[1:]
		case strings.HasPrefix(path, `["`):
			quoted, err := strconv.QuotedPrefix(path[1:])
			if err != nil {
				return out
			}
			key, err := strconv.Unquote(quoted)
			if err != nil {
				return out
			}
			out = append(out, segment{key: key})
			path = strings.TrimPrefix(path[1+len(quoted):], "]")
		case path[0] == '[':
			number, rest, ok := strings.Cut(path[1:], "]")
			i, err := strconv.Atoi(number)
			if !ok || err != nil || i < 0 {
				return out
			}
			out = append(out, segment{index: i})
			path = rest
		default:
			end := strings.IndexAny(path, ".[")
			if end < 0 {
				end = len(path)
			}
			out = append(out, segment{key: path[:end]})
			path = path[end:]
		}
	}
	return out
}

// locate returns the place of a path below root: a field's key, an element's first token. Of
// a path that is not there it returns the place of the nearest parent that is.
func locate(root *yaml.Node, path []segment) (line, column int) {
	n := root
	line, column = n.Line, n.Column
	for _, s := range path {
		for n.Kind == yaml.AliasNode {
			n = n.Alias
		}
		switch {
		case s.key == "" && n.Kind == yaml.SequenceNode && s.index < len(n.Content):
			n = n.Content[s.index]
			line, column = n.Line, n.Column
		case s.key != "" && n.Kind == yaml.MappingNode:
			k, v := lookup(n, s.key, 0)
			if k == nil {
				return line, column
			}
			line, column, n = k.Line, k.Column, v
		default:
			return line, column
		}
	}
	return line, column
}

// lookup finds a key of a mapping: as written, else in other case, else in a merged mapping.
func lookup(n *yaml.Node, key string, depth int) (k, v *yaml.Node) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i], n.Content[i+1]
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if strings.EqualFold(n.Content[i].Value, key) {
			return n.Content[i], n.Content[i+1]
		}
	}
	if depth > 8 {
		return nil, nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value != "<<" {
			continue
		}
		sources := []*yaml.Node{n.Content[i+1]}
		if sources[0].Kind == yaml.SequenceNode {
			sources = sources[0].Content
		}
		for _, s := range sources {
			if s.Kind == yaml.AliasNode {
				s = s.Alias
			}
			if s.Kind == yaml.MappingNode {
				if k, v := lookup(s, key, depth+1); k != nil {
					return k, v
				}
			}
		}
	}
	return nil, nil
}
