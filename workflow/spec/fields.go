package spec

import (
	"encoding/json"
	"reflect"
	"slices"
	"sort"
	"strings"
)

// structInfo is the JSON fields of a struct type.
type structInfo struct {
	fields map[string]structField // by lower-case name
	names  []string               // sorted, for hints
}

type structField struct {
	name  string
	typ   reflect.Type
	index []int // for reflect.Value.FieldByIndex
}

// typeTable remembers the fields of the types that a file uses.
type typeTable map[reflect.Type]*structInfo

var (
	unmarshalerType   = reflect.TypeFor[json.Unmarshaler]()
	parallelStepsType = reflect.TypeFor[ParallelSteps]()
	stepListType      = reflect.TypeFor[[]WorkflowStep]()
	bytesType         = reflect.TypeFor[[]byte]()
)

func (t typeTable) of(typ reflect.Type) *structInfo {
	if info, ok := t[typ]; ok {
		return info
	}
	info := &structInfo{fields: map[string]structField{}}
	info.add(typ, nil)
	for _, f := range info.fields {
		info.names = append(info.names, f.name)
	}
	sort.Strings(info.names)
	t[typ] = info
	return info
}

// add lists a struct's own fields, then those of the structs that it embeds, so that the
// outer one wins as it does in encoding/json.
func (i *structInfo) add(typ reflect.Type, at []int) {
	var embedded []reflect.StructField
	for f := range typ.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" {
			embedded = append(embedded, f)
			continue
		}
		if name == "-" || !f.IsExported() {
			continue
		}
		if name == "" {
			name = f.Name
		}
		if key := strings.ToLower(name); i.fields[key].typ == nil {
			i.fields[key] = structField{name: name, typ: f.Type, index: slices.Concat(at, f.Index)}
		}
	}
	for _, e := range embedded {
		i.add(e.Type, slices.Concat(at, e.Index))
	}
}

// isLeaf says that a type reads its JSON itself.
func isLeaf(t reflect.Type) bool {
	return t == bytesType || t.Kind() == reflect.Interface || reflect.PointerTo(t).Implements(unmarshalerType)
}
