package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"argosy/workflow/spec"
)

const lintFamily = "lint"

// lintAll has argosy lint the rows of lint.csv.
func lintAll(ctx context.Context, s *settings, c *corpus) []outcome {
	cases := slices.DeleteFunc(slices.Clone(c.lints), func(l lintCase) bool {
		return !s.only.MatchString(l.path) && !s.only.MatchString(lintFamily)
	})
	return each(runtime.NumCPU(), cases, func(l *lintCase) outcome { return lint(ctx, s, c, l) })
}

// lint checks one file, beside the support files, which it may refer to.
func lint(ctx context.Context, s *settings, c *corpus, l *lintCase) outcome {
	o := outcome{Path: l.path, Family: lintFamily, Expected: verdict(l), Status: failed}
	file := filepath.Join(c.dir, l.path)
	args := []string{"lint", "-o", "json", file}
	for _, other := range c.support {
		if other != l.path {
			args = append(args, "--with", filepath.Join(c.dir, other))
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
				messages = append(messages, strings.TrimPrefix(e.Error(), c.dir+"/"))
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
