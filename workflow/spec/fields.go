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

var (
	unmarshalerType   = reflect.TypeFor[json.Unmarshaler]()
	parallelStepsType = reflect.TypeFor[ParallelSteps]()
	stepListType      = reflect.TypeFor[[]WorkflowStep]()
	bytesType         = reflect.TypeFor[[]byte]()
)

// structInfos are the fields of all types that a file may use. Looking them up for each file
// would cost more than reading it.
var structInfos = structsBelow(map[reflect.Type]*structInfo{}, reflect.TypeFor[Workflow](), reflect.TypeFor[WorkflowTemplate](),
	reflect.TypeFor[ClusterWorkflowTemplate](), reflect.TypeFor[CronWorkflow]())

// structsBelow adds the structs of which the types are made.
func structsBelow(infos map[reflect.Type]*structInfo, types ...reflect.Type) map[reflect.Type]*structInfo {
	for _, t := range types {
		for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
			t = t.Elem()
		}
		if t.Kind() != reflect.Struct || isLeaf(t) || infos[t] != nil {
			continue
		}
		infos[t] = newStructInfo(t)
		for _, f := range infos[t].fields {
			structsBelow(infos, f.typ)
		}
	}
	return infos
}

func fieldsOf(typ reflect.Type) *structInfo {
	if info := structInfos[typ]; info != nil {
		return info
	}
	return newStructInfo(typ)
}

func newStructInfo(typ reflect.Type) *structInfo {
	info := &structInfo{fields: map[string]structField{}}
	info.add(typ, nil)
	for _, f := range info.fields {
		info.names = append(info.names, f.name)
	}
	sort.Strings(info.names)
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
