package workflow

import (
	"fmt"
	"regexp"

	"argosy/workflow/expr"
	"argosy/workflow/spec"
)

// annotationDisplayName is what a template has its nodes called by, where they are shown.
const annotationDisplayName = "workflows.argoproj.io/display-name"

// displayNamePattern is what such a name looks like.
var displayNamePattern = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9-.]{0,61}[a-zA-Z0-9]$`)

// opener turns a call into a node that is ready to run. A turn opens calls among all that it
// sees of the run; a worker opens the items of a chunk with what the loop's call kept for it.
type opener struct {
	plan *Plan
	run  *Run
	// now names what changes while the run goes on; nil where nothing of it is used.
	now expr.Scope
	// find finds what an artifact's from names; nil: it was not found.
	find func(name string) (*spec.Artifact, error)
	// configMap finds a config map; nil where none is used.
	configMap func(name string) *ConfigMap
}

// open makes the node of a call at a key, in the scope that its arguments are written in. A
// node that ended before it could run has a final phase and says why.
func (o *opener) open(k Key, c *call, item []byte, scope expr.Scope) (*Node, *template) {
	failed := func(err error) *Node {
		return &Node{
			Key: k, Type: spec.NodeTypeSkipped, Template: c.template, Item: item,
			Phase: spec.NodeError, Message: err.Error(),
		}
	}
	gaveUp := func(err error) (*Node, *template) {
		n := failed(err)
		n.Refused, n.Message = true, refused(c, k, o.run.Name, err)
		return n, nil
	}
	tmpl, err := o.plan.template(c.template)
	if err != nil {
		return gaveUp(err)
	}
	if c.when != "" {
		proceed, text, err := evalWhen(c.when, scope)
		if err != nil {
			return failed(err), nil
		}
		if !proceed {
			return &Node{
				Key: k, Type: spec.NodeTypeSkipped, Template: c.template, Item: item,
				Phase: spec.NodeSkipped, Message: fmt.Sprintf("when '%s' evaluated false", text),
			}, nil
		}
	}
	args, err := o.resolveArguments(&c.arguments, scope)
	if err != nil && k == Root {
		return gaveUp(err)
	}
	if err != nil {
		return failed(err), nil
	}
	n := &Node{Key: k, Type: tmpl.nodeType(), Template: c.template, Item: item}
	if err = o.bindInputs(n, tmpl, args); err != nil {
		return gaveUp(err)
	}
	if k.Depth() >= maxDepth {
		err = fmt.Errorf("Maximum recursion depth exceeded: %d templates are nested at %s", maxDepth, k.Name(o.run.Name)) //nolint:staticcheck // Argo's words
	}
	if text := tmpl.Annotations[annotationDisplayName]; err == nil && text != "" {
		n.Display, err = expr.Substitute(text, o.inputScope(n), expr.Lenient)
		if err == nil && !displayNamePattern.MatchString(n.Display) {
			err = fmt.Errorf("displayName must match the regex %s", displayNamePattern)
		}
	}
	if err != nil {
		return failed(err), nil
	}
	return n, tmpl
}

// inputScope is what the template of a node may name.
func (o *opener) inputScope(n *Node) expr.Scope {
	own := &nodeScope{plan: o.plan, run: o.run, node: n}
	if o.now == nil {
		return own
	}
	return expr.Chain(o.now, own)
}

func evalWhen(when string, scope expr.Scope) (bool, string, error) {
	text, err := expr.Substitute(when, scope, expr.Strict)
	if err != nil {
		return false, "", fmt.Errorf("resolving when %q: %w", when, err)
	}
	ok, err := expr.When(text)
	if err != nil {
		return false, "", err
	}
	return ok, text, nil
}
