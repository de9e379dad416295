package proc

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// sleeper starts a process that ends only when told to.
func sleeper(t *testing.T, env ...string) (*exec.Cmd, Identity) {
	t.Helper()
	cmd := exec.Command("sleep", "600")
	cmd.Env = append(os.Environ(), env...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	t.Cleanup(func() { cmd.Process.Kill(); <-ended })
	id, err := Of(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	return cmd, id
}

func TestKillEndsThatProcess(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, id := sleeper(t)
	if !id.Alive() {
		t.Fatal("a running process is not alive")
	}
	if err := id.Kill(ctx); err != nil {
		t.Fatal(err)
	}
	if id.Alive() {
		t.Error("a killed process is alive")
	}
	if err := id.Kill(ctx); err != nil {
		t.Errorf("killing it again: %v", err)
	}
}

func TestALaterBearerOfAPidIsSpared(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*Identity){
		"started at another time": func(id *Identity) { id.Start-- },
		"in another boot":         func(id *Identity) { id.Boot = "another" },
	}
	for name, alter := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, bearer := sleeper(t)
			earlier := bearer
			alter(&earlier)
			if earlier.Alive() {
				t.Error("a process that is gone counts as alive")
			}
			if err := earlier.Kill(context.Background()); err != nil {
				t.Error(err)
			}
			if !bearer.Alive() {
				t.Error("the later bearer of the pid was ended")
			}
		})
	}
}

func TestSavedIdentityIsLoadedUnchanged(t *testing.T) {
	t.Parallel()
	_, id := sleeper(t)
	path := filepath.Join(t.TempDir(), "pid")
	if err := id.Save(path); err != nil {
		t.Fatal(err)
	}
	loaded, err := Load(path)
	if err != nil || loaded != id {
		t.Errorf("got %+v, %v, want %+v", loaded, err, id)
	}
}

func TestLoadRefusesAFileCutShort(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "pid")
	if err := os.WriteFile(path, []byte(`{"pid": 12`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil {
		t.Error("no error")
	}
}

func TestWithEnvFindsOnlyWholeEntries(t *testing.T) {
	t.Parallel()
	entry := "ARGOSY_PROC_TEST=" + t.TempDir()
	_, id := sleeper(t, entry)
	sleeper(t, entry+"-longer")
	// Between fork and exec a child still shows its parent's environment.
	deadline := time.Now().Add(10 * time.Second)
	found := WithEnv(entry)
	for len(found) == 0 && time.Now().Before(deadline) {
		found = WithEnv(entry)
	}
	if len(found) != 1 || found[0] != id {
		t.Errorf("got %v, want only %v", found, id)
	}
}

func TestParseStat(t *testing.T) {
	t.Parallel()
	rest := " S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20 21"
	tests := map[string]struct {
		line string
		want stat
		ok   bool
	}{
		"plain":                   {"12 (sleep)" + rest, stat{'S', 4711}, true},
		"parentheses in the name": {"12 (a) S (b)" + rest, stat{'S', 4711}, true},
		"cut short":               {"12 (sleep) S 1 2", stat{}, false},
		"no name":                 {"12", stat{}, false},
		"start time not a number": {"12 (x) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 x", stat{}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := parseStat(test.line)
			if got != test.want || (err == nil) != test.ok {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}
