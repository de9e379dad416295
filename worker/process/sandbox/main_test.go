package sandbox

import (
	"fmt"
	"log/slog"
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	if code, ok := RunHelper(os.Args); ok {
		os.Exit(code)
	}
	if len(os.Args) == 4 && os.Args[1] == workerArg {
		fmt.Fprintln(os.Stderr, testWorker(os.Args[2], os.Args[3]))
		os.Exit(1)
	}
	if len(os.Args) > 1 && os.Args[1] == containerArg {
		runContainer(os.Args[2:])
	}
	os.Exit(m.Run())
}

var stepEnv = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
