package main

import (
	"context"
	"errors"
	"fmt"

	"argosy/server/client"
)

// Exit codes, as the root command's help documents them.
const (
	exitOK          = 0
	exitRunFailed   = 1
	exitUsage       = 2
	exitServer      = 3
	exitInterrupted = 130
)

// exitError ends the process with a code. A nil err ends it without a word: what there was
// to say is on the screen already.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// usagef is an error in what the user gave us.
func usagef(format string, args ...any) error {
	return &exitError{code: exitUsage, err: fmt.Errorf(format, args...)}
}

// exitCode tells the process's exit code for what a command returned. Errors without a
// code of their own come from flags and arguments.
func exitCode(ctx context.Context, err error) int {
	var exit *exitError
	var refused *client.Error
	switch {
	case err == nil:
		return exitOK
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.As(err, &exit):
		return exit.code
	case errors.Is(err, client.ErrUnreachable):
		return exitServer
	case errors.As(err, &refused) && refused.Status >= 500:
		return exitServer
	}
	return exitUsage
}
