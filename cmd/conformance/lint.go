package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"argosy/workflow/spec"
)

const lintFamily = "lint"

// withTemplates is expected of files that are valid beside the templates of others, which
// any file of the corpus may define.
const withTemplates = "valid-with-templates"

// lintAll has argosy lint the rows of lint.csv.
func lintAll(ctx context.Context, s *settings, c *corpus) []outcome {
	cases := slices.DeleteFunc(slices.Clone(c.lints), func(l lintCase) bool {
		return !s.only.MatchString(l.path) && !s.only.MatchString(lintFamily)
	})
	all := append(slices.Clone(c.support), c.templates()...)
	return each(runtime.NumCPU(), cases, func(l *lintCase) outcome {
		if l.expected == withTemplates {
			return lint(ctx, s, l, all)
		}
		return lint(ctx, s, l, c.support)
	})
}

// templates lists the listed files, beside the support files, that define templates.
func (c *corpus) templates() []string {
	seen := map[string]bool{}
	for _, path := range c.support {
		seen[path] = true
	}
	var out []string
	add := func(path string) {
		if seen[path] {
			return
		}
		seen[path] = true
		data, err := os.ReadFile(filepath.Join(c.dir, path))
		if err != nil {
			return // whoever checks the file itself will say so
		}
		docs, err := spec.Parse(path, data)
		if err == nil && slices.ContainsFunc(docs, func(d spec.Document) bool {
			return d.Kind == spec.KindWorkflowTemplate || d.Kind == spec.KindClusterWorkflowTemplate
		}) {
			out = append(out, path)
		}
	}
	for _, t := range c.runs {
		add(t.path)
	}
	for _, l := range c.lints {
		add(l.path)
	}
	return out
}

// lint checks one file, beside those that it may refer to.
func lint(ctx context.Context, s *settings, l *lintCase, with []string) outcome {
	o := outcome{Path: l.path, Family: lintFamily, Expected: verdict(l), Status: failed}
	file := filepath.Join(s.corpus, l.path)
	args := []string{"lint", "-o", "json", file}
	for _, other := range with {
		if other != l.path {
			args = append(args, "--with", filepath.Join(s.corpus, other))
		}
	}
	out, err := exec.CommandContext(ctx, s.argosy, args...).Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		o.Got, o.Message = "nothing", err.Error()
		return o
	}
	var found []struct {
		Errors spec.ErrorList `json:"errors"`
	}
	var messages []string
	if json.Unmarshal(out, &found) == nil {
		for _, f := range found {
			for _, e := range f.Errors {
				messages = append(messages, strings.TrimPrefix(e.Error(), s.corpus+"/"))
			}
		}
	}
	if exit != nil && len(messages) == 0 {
		messages = append(messages, strings.TrimSpace(string(exit.Stderr)))
	}
	o.Message = strings.Join(messages, "\n")
	if o.Got = "valid"; err != nil {
		o.Got = "invalid"
	}
	switch {
	case o.Got != o.Expected:
	case l.expected == "invalid" && !sameReason(o.Message, l.note):
		o.Message = fmt.Sprintf("refused for another reason than %q:\n%s", l.note, o.Message)
	default:
		o.Status = passed
	}
	return o
}

// verdict is what a row expects: a special one says it in its note.
func verdict(l *lintCase) string {
	for _, valid := range []string{"lint valid", "lint passes", "valid"} {
		if l.expected == "special" && strings.HasPrefix(l.note, valid) {
			return "valid"
		}
	}
	if strings.HasPrefix(l.expected, "valid") {
		return "valid"
	}
	return "invalid"
}

var tellingWord = regexp.MustCompile(`[\w.\[\]-]*\w[\w.\[\]-]*`)

// sameReason says that a message has most of the telling words of a note, which names the
// same fault in its own words.
func sameReason(message, note string) bool {
	message = strings.ToLower(message)
	n, found := 0, 0
	for _, w := range tellingWord.FindAllString(strings.ToLower(note), -1) {
		if slices.Contains([]string{"must", "be", "a", "an", "is", "the", "was", "not", "in", "and", "or", "also"}, w) {
			continue
		}
		n++
		if strings.Contains(message, w) {
			found++
		}
	}
	return 2*found >= n
}
