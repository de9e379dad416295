package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"argosy/server"
	"argosy/workflow/spec"
)

// lint is `argosy lint`.
func (a *app) lint() *cobra.Command {
	var output string
	var with []string
	cmd := &cobra.Command{
		Use:   "lint FILE|DIR...",
		Short: "Check files without a server",
		Long: `Check workflow files, also all YAML and JSON files of folders; - is the standard input.
Errors are what would keep a workflow from running, warnings are not. Templates that a file
refers to must be in it, in another of the files, or in those of --with, which are not
checked themselves.`,
		Example: examples(
			"argosy lint examples/",
			"argosy lint -o simple hello.yaml",
			"argosy lint --with templates/ hello.yaml",
			"cat hello.yaml | argosy lint -",
		),
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := checkChoice("output", output, "pretty", "simple", "json"); err != nil {
				return err
			}
			l := &linter{app: a}
			if err := l.read(args, with); err != nil {
				return err
			}
			results, err := l.check()
			if err != nil {
				return err
			}
			return a.printLint(output, results)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "pretty", "pretty, simple or json")
	cmd.Flags().StringArrayVar(&with, "with", nil, "file or folder to find templates in")
	cmd.Flags().Bool("offline", true, "as always; for scripts made for Argo")
	cmd.Flags().Bool("strict", true, "as always; for scripts made for Argo")
	return cmd
}

// lintFiles lists the files to check.
func lintFiles(args []string) ([]string, error) {
	var files []string
	for _, arg := range args {
		if arg == "-" {
			files = append(files, arg)
			continue
		}
		err := filepath.WalkDir(arg, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			switch strings.ToLower(filepath.Ext(path)) {
			case ".yaml", ".yml", ".json":
			default:
				if path != arg {
					return nil
				}
			}
			if !d.IsDir() {
				files = append(files, path)
			}
			return nil
		})
		if err != nil {
			return nil, usagef("%w", err)
		}
	}
	if len(files) == 0 {
		return nil, usagef("there are no YAML or JSON files to check")
	}
	return files, nil
}

// lintResult is what was found in a file.
type lintResult struct {
	File     string         `json:"file"`
	Objects  int            `json:"objects"`
	Errors   spec.ErrorList `json:"errors"`
	Warnings []spec.Warning `json:"warnings"`
}

// linter checks files together, since they refer to each other.
type linter struct {
	app     *app
	results []lintResult
	docs    [][]spec.Document // of each result
	library *spec.Library
}

// read parses the files to check, and those to find templates in.
func (l *linter) read(args, with []string) error {
	files, err := lintFiles(args)
	if err != nil {
		return err
	}
	var all []spec.Document
	for _, file := range files {
		r := lintResult{File: file, Errors: spec.ErrorList{}, Warnings: []spec.Warning{}}
		docs, err := l.app.parseFile(file)
		if err := r.take(err); err != nil {
			return err
		}
		r.Objects = len(docs)
		l.results, l.docs, all = append(l.results, r), append(l.docs, docs), append(all, docs...)
	}
	if len(with) > 0 {
		if files, err = lintFiles(with); err != nil {
			return err
		}
		for _, file := range files {
			docs, err := l.app.parseFile(file)
			if err != nil {
				return err
			}
			all = append(all, docs...)
		}
	}
	l.library = spec.NewLibrary(all, nil)
	return nil
}

// check validates what was read. A file's own templates come before those of others.
func (l *linter) check() ([]lintResult, error) {
	linted := false
	for i := range l.results {
		r := &l.results[i]
		own := spec.NewLibrary(l.docs[i], l.library)
		for k := range l.docs[i] {
			doc := &l.docs[i][k]
			linted = linted || spec.Validates(doc.Kind)
			warnings, err := server.Check(doc, spec.Options{Lint: true, Templates: own.Find})
			r.Warnings = append(r.Warnings, warnings...)
			if err := r.take(err); err != nil {
				return nil, err
			}
		}
		linted = linted || len(r.Errors) > 0
	}
	if !linted {
		return nil, usagef("found nothing to lint: no object of the files is a workflow or a template of one")
	}
	return l.results, nil
}

// take notes what an error says of the file; what it says of something else it returns.
func (r *lintResult) take(err error) error {
	var list spec.ErrorList
	if errors.As(err, &list) {
		r.Errors = append(r.Errors, list...)
		return nil
	}
	return err
}

func (a *app) printLint(output string, results []lintResult) error {
	bad, objects := 0, 0
	for _, r := range results {
		bad += len(r.Errors)
		objects += r.Objects
	}
	var failed error
	if bad > 0 {
		failed = &exitError{code: exitUsage}
	}
	if output == "json" {
		return errors.Join(printObject(a.out, "json", results), failed)
	}
	for _, r := range results {
		if output == "pretty" && len(r.Errors)+len(r.Warnings) > 0 {
			fmt.Fprintln(a.out, r.File+":")
		}
		for _, e := range r.Errors {
			fmt.Fprintln(a.out, lintLine(output, "error", e))
		}
		for i := range r.Warnings {
			fmt.Fprintln(a.out, lintLine(output, "warning", (*spec.Error)(&r.Warnings[i])))
		}
	}
	if output == "pretty" {
		if bad == 0 {
			fmt.Fprintf(a.out, "no errors in %d objects of %d files\n", objects, len(results))
		} else {
			fmt.Fprintf(a.out, "%d errors in %d files\n", bad, len(results))
		}
	}
	return failed
}

// lintLine is one finding: pretty below its file, simple with it, for editors to jump to.
func lintLine(output, kind string, e *spec.Error) string {
	if output == "simple" {
		return e.Error() + " [" + kind + "]"
	}
	_, rest, _ := strings.Cut(e.Error(), e.File+":")
	return fmt.Sprintf("  %s: %s", kind, rest)
}
