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
	cmd := &cobra.Command{
		Use:   "lint FILE|DIR...",
		Short: "Check files without a server",
		Long: `Check workflow files, also all YAML and JSON files of folders; - is the standard input.
Errors are what would keep a workflow from running, warnings are not.`,
		Example: examples(
			"argosy lint examples/",
			"argosy lint -o simple hello.yaml",
			"cat hello.yaml | argosy lint -",
		),
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := checkChoice("output", output, "pretty", "simple", "json"); err != nil {
				return err
			}
			files, err := lintFiles(args)
			if err != nil {
				return err
			}
			results := make([]lintResult, len(files))
			for i, f := range files {
				if results[i], err = a.lintFile(f); err != nil {
					return err
				}
			}
			return a.printLint(output, results)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "pretty", "pretty, simple or json")
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

func (a *app) lintFile(file string) (lintResult, error) {
	r := lintResult{File: file, Errors: spec.ErrorList{}, Warnings: []spec.Warning{}}
	collect := func(err error) error {
		var list spec.ErrorList
		if errors.As(err, &list) {
			r.Errors = append(r.Errors, list...)
			return nil
		}
		return err
	}
	docs, err := a.parseFile(file)
	if err := collect(err); err != nil {
		return r, err
	}
	r.Objects = len(docs)
	for i := range docs {
		warnings, err := server.Check(&docs[i], true)
		r.Warnings = append(r.Warnings, warnings...)
		if err := collect(err); err != nil {
			return r, err
		}
	}
	return r, nil
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
