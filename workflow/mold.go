package workflow

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"argosy/workflow/expr"
	"argosy/workflow/spec"
)

// mold makes filled copies of a template without a detour through JSON, which costs more than
// all else that happens to an item of a wide loop. What has no tags is shared by the copies.
// A template with a tag where JSON is more than its text (a quantity, a map's key) has no mold.
type mold struct {
	base *spec.Template
	root *moldPart
}

// moldPart is a value with tags at or below it: a text, or what holds such.
type moldPart struct {
	text  string // of a string
	parts []moldStep
}

// moldStep leads to a field or an element; a pointer is passed through.
type moldStep struct {
	index int
	part  *moldPart
}

// newMold prepares a template that was encoded as data; nil: it has to be filled as JSON.
func newMold(data []byte) *mold {
	m := &mold{base: &spec.Template{}}
	if json.Unmarshal(data, m.base) != nil {
		return nil
	}
	root, ok := moldOf(reflect.ValueOf(m.base).Elem())
	if !ok {
		return nil
	}
	m.root = root
	return m
}

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

// moldOf finds the tags in a value; a nil part: there are none.
func moldOf(v reflect.Value) (part *moldPart, ok bool) {
	if reflect.PointerTo(v.Type()).Implements(unmarshaler) || v.Kind() == reflect.Map || v.Kind() == reflect.Interface {
		data, err := json.Marshal(v.Interface())
		return nil, err == nil && !tagged(string(data))
	}
	switch v.Kind() {
	case reflect.String:
		if tagged(v.String()) {
			part = &moldPart{text: v.String()}
		}
		return part, true
	case reflect.Pointer:
		if v.IsNil() {
			return nil, true
		}
		return moldOf(v.Elem())
	case reflect.Struct:
		return moldParts(v.NumField(), v.Field)
	case reflect.Slice, reflect.Array:
		return moldParts(v.Len(), v.Index)
	}
	return nil, true
}

func moldParts(n int, at func(int) reflect.Value) (*moldPart, bool) {
	var parts []moldStep
	for i := range n {
		if !at(i).CanInterface() {
			continue // unexported: JSON does not see it either
		}
		part, ok := moldOf(at(i))
		if !ok {
			return nil, false
		}
		if part != nil {
			parts = append(parts, moldStep{i, part})
		}
	}
	if parts == nil {
		return nil, true
	}
	return &moldPart{parts: parts}, true
}

func tagged(text string) bool { return strings.Contains(text, "{{") }

// fill makes a copy; not ok: as JSON it would be another.
func (m *mold) fill(scope expr.Scope) (t *spec.Template, ok bool, err error) {
	t = new(*m.base)
	// What Resolve and its callers write into.
	t.Inputs.Parameters, t.Inputs.Artifacts = slices.Clone(t.Inputs.Parameters), slices.Clone(t.Inputs.Artifacts)
	t.Outputs.Artifacts = slices.Clone(t.Outputs.Artifacts)
	if m.root == nil {
		return t, true, nil
	}
	ok, err = m.root.fill(reflect.ValueOf(t).Elem(), expr.NewFiller(scope, expr.Lenient))
	return t, ok, err
}

func (p *moldPart) fill(v reflect.Value, f *expr.Filler) (bool, error) {
	switch v.Kind() {
	case reflect.String:
		text, err := f.Fill(p.text)
		v.SetString(text)
		return utf8.ValidString(text), err
	case reflect.Pointer:
		own := reflect.New(v.Type().Elem())
		own.Elem().Set(v.Elem())
		v.Set(own)
		return p.fill(own.Elem(), f)
	case reflect.Slice:
		own := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(own, v)
		v.Set(own)
	}
	for _, s := range p.parts {
		var below reflect.Value
		if v.Kind() == reflect.Struct {
			below = v.Field(s.index)
		} else {
			below = v.Index(s.index)
		}
		if ok, err := s.part.fill(below, f); err != nil || !ok {
			return ok, err
		}
	}
	return true, nil
}
