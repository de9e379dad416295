package spec

// Library is the templates that documents define, for the references between them.
type Library struct {
	specs map[libraryKey]*WorkflowSpec
	rest  *Library
}

type libraryKey struct {
	name         string
	clusterScope bool
}

// NewLibrary returns the templates of documents; what they lack is looked up in rest, which
// may be nil.
func NewLibrary(docs []Document, rest *Library) *Library {
	l := &Library{specs: map[libraryKey]*WorkflowSpec{}, rest: rest}
	for i := range docs {
		switch o := docs[i].Object.(type) {
		case *WorkflowTemplate:
			l.add(libraryKey{o.Name, false}, &o.Spec)
		case *ClusterWorkflowTemplate:
			l.add(libraryKey{o.Name, true}, &o.Spec)
		}
	}
	return l
}

// add keeps the first of a name.
func (l *Library) add(key libraryKey, s *WorkflowSpec) {
	if l.specs[key] == nil {
		l.specs[key] = s
	}
}

// Find returns the spec of that name, nil if there is none. It is what Options.Templates
// wants.
func (l *Library) Find(name string, clusterScope bool) *WorkflowSpec {
	for ; l != nil; l = l.rest {
		if s := l.specs[libraryKey{name, clusterScope}]; s != nil {
			return s
		}
	}
	return nil
}
