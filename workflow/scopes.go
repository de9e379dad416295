package workflow

import (
	"strings"

	"argosy/workflow/expr"
	"argosy/workflow/spec"
)

// A Plan's templates have these names, which are also those in Node.Template:
//
//	print                       of the workflow's own spec, or of the one it was made from
//	namespaced/lib/print        of WorkflowTemplate lib; cluster/lib/print of a cluster's
//	main#greet                  the inline template of step or task greet of template main
//
// A template calls others of its own scope by their bare names.

// scopeOf is the scope of a template: what the names of others of its spec begin with.
func scopeOf(template string) string { return template[:strings.LastIndexByte(template, '/')+1] }

// localName is a template's name in its own spec; inline ones have none.
func localName(template string) string {
	name := template[len(scopeOf(template)):]
	if strings.Contains(name, "#") {
		return ""
	}
	return name
}

func inlineName(caller, call string) string { return caller + "#" + call }

// callee is the name of what a call in the caller's template launches.
func callee(caller, call, name string, inline *spec.Template, ref *spec.TemplateRef) string {
	switch {
	case inline != nil:
		return inlineName(caller, call)
	case ref != nil:
		return ref.Scope() + ref.Template
	}
	return scopeOf(caller) + name
}

// captureOuter keeps, for a node of an inline template, the values of the names that its text
// shares with the text around it: those come before its own.
func captureOuter(n *Node, tmpl *template, scope expr.Scope) {
	if !tmpl.inline {
		return
	}
	for _, name := range sortedNames(tmpl.refs) {
		switch root, _, _ := strings.Cut(name, "."); root {
		case "workflow", "pod": // the same here as there; the node's own
			continue
		}
		if v, state := scope.Lookup(name); state == expr.Known {
			n.keepVar(name, itemText(v))
		}
	}
}

func (n *Node) keepVar(name, value string) {
	if n.Vars == nil {
		n.Vars = map[string]string{}
	}
	n.Vars[name] = value
}
