package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"argosy/workflow/spec"
)

// app is the world as commands see it; tests build another one.
type app struct {
	in       io.Reader
	out, err io.Writer
	env      func(string) string
	now      func() time.Time
	conn     connFlags
}

func newApp() *app {
	return &app{in: os.Stdin, out: os.Stdout, err: os.Stderr, env: os.Getenv, now: time.Now}
}

// execute runs one command line and returns the process's exit code.
func (a *app) execute(ctx context.Context, args []string) int {
	root := newRoot(a)
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	err := root.ExecuteContext(ctx)
	code := exitCode(ctx, err)
	var exit *exitError
	switch {
	case err == nil, errors.As(err, &exit) && exit.err == nil:
	case code == exitInterrupted:
		fmt.Fprintln(a.err, "interrupted")
	case errors.As(err, new(spec.ErrorList)):
		fmt.Fprintln(a.err, err) // each line starts with its file, for editors to jump to
	default:
		fmt.Fprintln(a.err, "argosy: "+strings.TrimSpace(err.Error()))
	}
	return code
}

// env1 returns the first of the environment variables that is set.
func (a *app) env1(names ...string) string {
	for _, n := range names {
		if v := a.env(n); v != "" {
			return v
		}
	}
	return ""
}

// terminal says whether w is one, and how many columns and lines it has.
func terminal(w io.Writer) (width, height int, ok bool) {
	f, isFile := w.(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) {
		return 0, 0, false
	}
	width, height, err := term.GetSize(int(f.Fd()))
	return width, height, err == nil
}

// colour says whether to colour what goes to w: see no-color.org.
func (a *app) colour(w io.Writer) bool {
	_, _, ok := terminal(w)
	return ok && a.env("NO_COLOR") == "" && a.env("TERM") != "dumb"
}

// ascii says that the locale cannot show the marks of a tree. Without any locale, as in
// containers, UTF-8 is the better guess.
func (a *app) ascii() bool {
	locale := strings.ToLower(a.env1("LC_ALL", "LC_CTYPE", "LANG"))
	return locale != "" && !strings.Contains(locale, "utf-8") && !strings.Contains(locale, "utf8")
}
