// Command argosy is Argosy in one binary: the commands that submit and follow runs, and
// every role of the service as a subcommand.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	_ "time/tzdata" // time zones of schedules, also where there are none

	"argosy/worker/process"
)

func main() {
	// The process executor starts this program anew, as the helper that makes sandboxes.
	if code, ok := process.RunHelper(os.Args); ok {
		os.Exit(code)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal asks commands to end what they do; a second one ends the process.
	context.AfterFunc(ctx, stop)
	// Memory that is never touched costs nothing, and with it what a role leaves behind is not
	// collected every few megabytes.
	ballast := make([]byte, 64<<20)
	code := newApp().execute(ctx, os.Args[1:])
	runtime.KeepAlive(ballast)
	stop()
	os.Exit(code)
}
