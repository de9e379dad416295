package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"argosy/server"
	"argosy/workflow/spec"
)

// maxInput bounds what is read of a file: more than what Parse takes, so that it is Parse
// which says what is wrong with a file that is too large.
const maxInput = 16 * spec.MaxFileSize

// parseFile reads the objects of a file; - is the standard input.
func (a *app) parseFile(name string) ([]spec.Document, error) {
	in, shown := a.in, "stdin"
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, usagef("%w", err)
		}
		defer f.Close()
		in, shown = f, name
	}
	data, err := io.ReadAll(io.LimitReader(in, maxInput))
	if err != nil {
		return nil, usagef("reading %s: %w", shown, err)
	}
	docs, err := spec.Parse(shown, data)
	if err != nil {
		return docs, usagef("%w", err)
	}
	return docs, nil
}

// parseWorkflows reads the workflows of files, changes them by override and checks them.
// All of them must be good: nothing is to start when something is wrong.
func (a *app) parseWorkflows(files []string, override func(*spec.Workflow) error) ([]*spec.Workflow, error) {
	p := &parsed{}
	for _, file := range files {
		docs, err := a.parseFile(file)
		if err != nil {
			return nil, err
		}
		for i := range docs {
			if _, ok := docs[i].Object.(*spec.Workflow); !ok {
				p.errs = append(p.errs, docs[i].Errorf("kind", "only a %s can be submitted, this is a %s", spec.KindWorkflow, docs[i].Kind))
				continue
			}
			if err := p.take(a, &docs[i], override, spec.Options{}); err != nil {
				return nil, err
			}
		}
	}
	return p.workflows, p.done()
}

// parsed is what files have: workflows, and what they refer to.
type parsed struct {
	workflows []*spec.Workflow
	objects   []spec.Document
	errs      spec.ErrorList
}

// parseAll reads files that may hold also what their workflows refer to. known says that
// there is nothing else to refer to, and plugins which plugins there are; nil: any may be.
func (a *app) parseAll(files []string, override func(*spec.Workflow) error, known bool, plugins *spec.Plugins) (*parsed, error) {
	p := &parsed{}
	var all []spec.Document
	for _, file := range files {
		docs, err := a.parseFile(file)
		if err != nil {
			return nil, err
		}
		all = append(all, docs...)
	}
	o := spec.Options{Plugins: plugins}
	if known {
		o.Templates = spec.NewLibrary(all, nil).Find
	}
	for i := range all {
		if err := p.take(a, &all[i], override, o); err != nil {
			return nil, err
		}
	}
	return p, p.done()
}

// take checks a document and keeps it.
func (p *parsed) take(a *app, doc *spec.Document, override func(*spec.Workflow) error, o spec.Options) error {
	switch wf, ok := doc.Object.(*spec.Workflow); {
	case ok:
		if err := override(wf); err != nil {
			return err
		}
		p.workflows = append(p.workflows, wf)
	case server.Stores(doc.Kind):
		p.objects = append(p.objects, *doc)
		o.Lint = true // what runs is checked with what runs it
	default:
		p.errs = append(p.errs, doc.Errorf("kind", "a %s can be neither run nor referred to", doc.Kind))
		return nil
	}
	warnings, err := server.Check(doc, o)
	for _, w := range warnings {
		fmt.Fprintln(a.err, "warning: "+w.String())
	}
	var list spec.ErrorList
	if errors.As(err, &list) {
		p.errs = append(p.errs, list...)
	} else if err != nil {
		return usagef("%w", err)
	}
	return nil
}

func (p *parsed) done() error {
	if len(p.errs) > 0 {
		return usagef("%w", p.errs)
	}
	return nil
}
