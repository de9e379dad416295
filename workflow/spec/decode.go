package spec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Bounds of what a file may unfold to. A small file can unfold to terabytes through aliases
// of aliases.
const (
	maxDepth   = 200
	maxAliased = 50_000 // values reached through aliases
	maxJSON    = 8 * MaxFileSize
)

var errTooDeep = fmt.Errorf("values are nested more than %d deep", maxDepth)

// decoder walks a syntax tree and a Go type side by side. It writes the tree as JSON with
// the type's own field names, and notes every place where the two do not fit.
type decoder struct {
	file    string
	out     bytes.Buffer
	errs    ErrorList
	path    []segment
	active  map[*yaml.Node]bool // anchors that are being unfolded
	aliased int
	stop    bool // the file is refused as a whole
}

// segment is a step of a path: a key, or an index when the key is empty.
type segment struct {
	key   string
	index int
}

// decode reads a tree into a new value of type t.
func decode(file string, root *yaml.Node, t reflect.Type) (value any, text []byte, errs ErrorList) {
	d := &decoder{file: file, active: map[*yaml.Node]bool{}}
	d.value(root, t)
	if len(d.errs) > 0 {
		return nil, nil, d.errs
	}
	v := reflect.New(t)
	if err := json.Unmarshal(d.out.Bytes(), v.Interface()); err != nil {
		// Every leaf was tried on its own, so this is a gap in the walk.
		d.fail(root, "cannot be read: "+err.Error(), "")
		return nil, nil, d.errs
	}
	return v.Interface(), d.out.Bytes(), nil
}

func (d *decoder) fail(n *yaml.Node, message, hint string) {
	if d.stop || len(d.errs) >= maxErrors {
		return
	}
	d.errs = append(d.errs, &Error{File: d.file, Line: n.Line, Column: n.Column, Path: pathString(d.path), Message: message, Hint: hint})
}

// abort refuses the whole file.
func (d *decoder) abort(n *yaml.Node, message string) {
	d.fail(n, message, "")
	d.stop = true
}

func (d *decoder) null() { d.out.WriteString("null") }

// value writes n as JSON for type t. On an error it writes null, so that the JSON stays whole.
func (d *decoder) value(n *yaml.Node, t reflect.Type) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	n, leave := d.enter(n)
	defer leave()
	switch {
	case d.stop || isNull(n):
		d.null()
	case t == parallelStepsType:
		d.value(n, stepListType)
	case isLeaf(t):
		d.leaf(n, t)
	case t.Kind() == reflect.Struct:
		d.object(n, t)
	case t.Kind() == reflect.Map:
		d.mapping(n, t.Elem())
	case t.Kind() == reflect.Slice:
		d.list(n, t.Elem())
	default:
		d.scalar(n, t)
	}
}

// enter follows an alias and guards against trees that are too deep, endless or too large.
func (d *decoder) enter(n *yaml.Node) (*yaml.Node, func()) {
	leave := func() {}
	if n.Kind == yaml.AliasNode {
		if d.active[n.Alias] {
			d.abort(n, fmt.Sprintf("the alias *%s contains itself", n.Value))
			return n, leave
		}
		target := n.Alias
		d.active[target] = true
		leave = func() { delete(d.active, target) }
		n = target
	}
	if len(d.active) > 0 {
		if d.aliased++; d.aliased > maxAliased {
			d.abort(n, fmt.Sprintf("aliases unfold to more than %d values", maxAliased))
		}
	}
	if len(d.path) > maxDepth {
		d.abort(n, errTooDeep.Error())
	}
	if d.out.Len() > maxJSON {
		d.abort(n, fmt.Sprintf("the document unfolds to more than %d MB", maxJSON>>20))
	}
	return n, leave
}

// entry is one field of a mapping.
type entry struct {
	key, value *yaml.Node
	name       string
}

// entries returns a mapping's fields with merge keys (<<) unfolded: a mapping's own fields
// win over merged ones, and the first of several merged mappings wins.
func (d *decoder) entries(n *yaml.Node, depth int) []entry {
	var own, merged []entry
	lines := map[string]int{}
	for i := 0; i+1 < len(n.Content) && !d.stop; i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.ShortTag() == "!!merge" {
			merged = append(merged, d.merged(v, depth+1)...)
			continue
		}
		name, ok := d.key(k)
		if !ok {
			continue
		}
		if line, dup := lines[name]; dup {
			d.fail(k, fmt.Sprintf("duplicate key %q", name), fmt.Sprintf("first at line %d", line))
			continue
		}
		lines[name] = k.Line
		own = append(own, entry{key: k, value: v, name: name})
	}
	for _, e := range merged {
		if _, dup := lines[e.name]; !dup {
			lines[e.name] = e.key.Line
			own = append(own, e)
		}
	}
	return own
}

func (d *decoder) merged(n *yaml.Node, depth int) []entry {
	n, leave := d.enter(n)
	defer leave()
	switch {
	case d.stop:
	case depth > maxDepth:
		d.abort(n, errTooDeep.Error())
	case n.Kind == yaml.MappingNode:
		return d.entries(n, depth)
	case n.Kind == yaml.SequenceNode:
		var out []entry
		for _, c := range n.Content {
			out = append(out, d.merged(c, depth+1)...)
		}
		return out
	default:
		d.fail(n, "expected a map to merge, found "+describe(n), "")
	}
	return nil
}

// key returns the text of a mapping's key; numbers and booleans become strings.
func (d *decoder) key(n *yaml.Node) (string, bool) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.ScalarNode {
		hint := ""
		if n.Kind == yaml.MappingNode {
			hint = "a value that begins with {{ needs quotes"
		}
		d.fail(n, "expected a string as key, found "+describe(n), hint)
		return "", false
	}
	_, text, err := resolveScalar(n)
	if err != nil {
		d.fail(n, err.Error(), "")
		return "", false
	}
	return text, true
}

func (d *decoder) object(n *yaml.Node, t reflect.Type) {
	if n.Kind != yaml.MappingNode {
		d.fail(n, "expected a map, found "+describe(n), "")
		d.null()
		return
	}
	info := fieldsOf(t)
	lines := map[string]int{}
	d.out.WriteByte('{')
	first := true
	for _, e := range d.entries(n, 0) {
		f, ok := info.fields[strings.ToLower(e.name)]
		d.path = append(d.path, segment{key: e.name})
		line, dup := lines[f.name]
		switch {
		case !ok:
			hint := ""
			if len(d.errs) < maxErrors { // looking costs time
				hint = didYouMean(e.name, info.names)
			}
			d.fail(e.key, fmt.Sprintf("unknown field %q", e.name), hint)
		case dup:
			d.fail(e.key, fmt.Sprintf("duplicate key %q", e.name), fmt.Sprintf("%s is set at line %d", f.name, line))
		default:
			d.path[len(d.path)-1].key = f.name
			lines[f.name] = e.key.Line
			d.field(f.name, &first)
			d.value(e.value, f.typ)
		}
		d.path = d.path[:len(d.path)-1]
	}
	d.out.WriteByte('}')
}

// field writes a field's name and what goes before its value.
func (d *decoder) field(name string, first *bool) {
	if !*first {
		d.out.WriteByte(',')
	}
	*first = false
	appendString(&d.out, name)
	d.out.WriteByte(':')
}

func (d *decoder) mapping(n *yaml.Node, elem reflect.Type) {
	if n.Kind != yaml.MappingNode {
		d.fail(n, "expected a map, found "+describe(n), "")
		d.null()
		return
	}
	d.out.WriteByte('{')
	first := true
	for _, e := range d.entries(n, 0) {
		d.path = append(d.path, segment{key: e.name})
		d.field(e.name, &first)
		d.value(e.value, elem)
		d.path = d.path[:len(d.path)-1]
	}
	d.out.WriteByte('}')
}

func (d *decoder) list(n *yaml.Node, elem reflect.Type) {
	if n.Kind != yaml.SequenceNode {
		hint := ""
		if n.Kind == yaml.MappingNode {
			hint = `begin each element with "- "`
		}
		d.fail(n, "expected a list, found "+describe(n), hint)
		d.null()
		return
	}
	d.out.WriteByte('[')
	for i, c := range n.Content {
		if i > 0 {
			d.out.WriteByte(',')
		}
		d.path = append(d.path, segment{index: i})
		d.value(c, elem)
		d.path = d.path[:len(d.path)-1]
	}
	d.out.WriteByte(']')
}

// generic writes n as JSON whatever it is.
func (d *decoder) generic(n *yaml.Node) {
	n, leave := d.enter(n)
	defer leave()
	switch {
	case d.stop:
		d.null()
	case n.Kind == yaml.MappingNode:
		d.out.WriteByte('{')
		first := true
		for _, e := range d.entries(n, 0) {
			d.path = append(d.path, segment{key: e.name})
			d.field(e.name, &first)
			d.generic(e.value)
			d.path = d.path[:len(d.path)-1]
		}
		d.out.WriteByte('}')
	case n.Kind == yaml.SequenceNode:
		d.out.WriteByte('[')
		for i, c := range n.Content {
			if i > 0 {
				d.out.WriteByte(',')
			}
			d.path = append(d.path, segment{index: i})
			d.generic(c)
			d.path = d.path[:len(d.path)-1]
		}
		d.out.WriteByte(']')
	default:
		switch kind, text, err := resolveScalar(n); {
		case err != nil:
			d.fail(n, err.Error(), "")
			d.null()
		case kind == scalarString:
			appendString(&d.out, text)
		default:
			d.out.WriteString(text)
		}
	}
}
