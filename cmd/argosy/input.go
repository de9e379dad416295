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
	var out []*spec.Workflow
	var errs spec.ErrorList
	for _, file := range files {
		docs, err := a.parseFile(file)
		if err != nil {
			return nil, err
		}
		for i := range docs {
			wf, ok := docs[i].Object.(*spec.Workflow)
			if !ok {
				errs = append(errs, docs[i].Errorf("kind", "only a %s can be submitted, this is a %s", spec.KindWorkflow, docs[i].Kind))
				continue
			}
			if err := override(wf); err != nil {
				return nil, err
			}
			warnings, err := server.Check(&docs[i], spec.Options{})
			for _, w := range warnings {
				fmt.Fprintln(a.err, "warning: "+w.String())
			}
			var list spec.ErrorList
			if errors.As(err, &list) {
				errs = append(errs, list...)
			} else if err != nil {
				return nil, usagef("%w", err)
			}
			out = append(out, wf)
		}
	}
	if len(errs) > 0 {
		return nil, usagef("%w", errs)
	}
	return out, nil
}
