// Command argosy-step is the runner in a step's pod: it stages what the step needs, runs the
// user's command, and collects what it made.
//
//	argosy-step install DIR           copies itself to DIR (from an init container)
//	argosy-step node DIR              copies itself to DIR, a folder of the node, and stays (in a DaemonSet)
//	argosy-step installed DIR         says whether DIR has this very program
//	argosy-step run -- COMMAND ARG... runs a step
//	argosy-step warm DIR              runs steps that the gateway hands out, in fresh folders of DIR
//
// It holds no credentials but a token for its own step, and talks to nothing but the
// gateway that its environment names, and the store at the addresses that this one signs.
package main

import (
	"context"
	"fmt"
	"os"
	"time"
)

func main() {
	os.Exit(run(os.Args[1:]))
}

// onFolder are the commands that need a folder alone.
var onFolder = map[string]func(dir string) error{"install": install, "node": stay, "installed": installed}

func run(args []string) int {
	switch {
	case len(args) == 2 && onFolder[args[0]] != nil:
		if err := onFolder[args[0]](args[1]); err != nil {
			fmt.Fprintln(os.Stderr, "argosy-step:", err)
			return 1
		}
		return 0
	case len(args) >= 3 && args[0] == "run" && args[1] == "--":
		return step{
			command:  args[2:],
			env:      os.Environ(),
			stdout:   os.Stdout,
			stderr:   os.Stderr,
			message:  "/dev/termination-log",
			patience: 5 * time.Minute,
		}.run(context.Background())
	case len(args) == 2 && args[0] == "warm":
		return warm{dir: args[1], env: os.Environ(), stderr: os.Stderr, message: "/dev/termination-log", patience: time.Minute}.run(context.Background())
	}
	fmt.Fprintln(os.Stderr, "usage: argosy-step install|node|installed DIR | argosy-step run -- COMMAND [ARG...] | argosy-step warm DIR")
	return 2
}
