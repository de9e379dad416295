package sandbox

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// attended runs a script, and attend beside it; then the script is ended.
func attended(t *testing.T, p *Pool, script string, attend func(ctx context.Context, a *Attended)) (Exit, error) {
	t.Helper()
	box, err := p.Get(t.Context())
	require.NoError(t, err)
	defer box.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	return box.Run(ctx, Command{Args: []string{"sh", "-c", script}, Env: stepEnv, Grace: time.Second, Attend: func(ctx context.Context, a *Attended) {
		attend(ctx, a)
		cancel()
	}})
}

const long = 20 * time.Second // for a busy machine

func TestProgramsRunBesideACommand(t *testing.T) {
	t.Parallel()
	eachPool(t, func(t *testing.T, p *Pool) {
		x, err := attended(t, p, "echo hi > /tmp/file; export A=b; exec sleep 1000", func(_ context.Context, a *Attended) {
			for {
				code, err := a.Exec([]string{"test", "-s", "/tmp/file"}, long)
				require.NoError(t, err)
				if code == 0 { // it sees what the command wrote
					break
				}
			}
			code, err := a.Exec([]string{"sh", "-c", "test $HOME = /root && pgrep -f 'sleep 1000' && exit 3"}, long)
			require.NoError(t, err)
			require.Equal(t, 3, code, "it is among the command's processes")
			code, err = a.Exec([]string{"sh", "-c", "kill -9 $$"}, long)
			require.NoError(t, err)
			require.Equal(t, 137, code)
			_, err = a.Exec([]string{"no-such-program"}, long)
			var not *NotStartedError
			require.ErrorAs(t, err, &not)
			_, err = a.Exec([]string{"sleep", "1000"}, 50*time.Millisecond)
			require.ErrorContains(t, err, "took longer than 50ms")
			code, err = a.Exec([]string{"sh", "-c", "sleep 1000 & exit 0"}, long) // leaves something behind
			require.NoError(t, err)
			require.Zero(t, code)
		})
		require.NoError(t, err)
		require.True(t, x.Ended)
		require.Equal(t, 143, x.Code)
		_, out := sh(t, p, "pgrep sleep || echo none")
		require.Equal(t, "none\n", out, "all of it ended with the command")
	})
}

func TestACommandThatEndsByItselfEndsWhatAttendsIt(t *testing.T) {
	t.Parallel()
	p := newPool(t, Config{Log: quiet(), Memory: 64 << 20})
	box, err := p.Get(t.Context())
	require.NoError(t, err)
	defer box.Close()
	var told error
	x, err := box.Run(t.Context(), Command{Args: []string{"sh", "-c", "sleep 0.2; exit 4"}, Env: stepEnv, Attend: func(ctx context.Context, a *Attended) {
		_, told = a.Exec([]string{"sleep", "1000"}, time.Hour)
		<-ctx.Done()
	}})
	require.NoError(t, err)
	require.Equal(t, 4, x.Code)
	require.Error(t, told)
	require.Equal(t, 4, x.Code)
	y, _ := shIn(t, box, "exit 5")
	require.Equal(t, 5, y.Code, "the sandbox goes on")
}

func TestACommandThatCannotStartIsNotAttended(t *testing.T) {
	t.Parallel()
	p := newPool(t, Config{Log: quiet(), Memory: 64 << 20})
	box, err := p.Get(t.Context())
	require.NoError(t, err)
	defer box.Close()
	_, err = box.Run(t.Context(), Command{Args: []string{"no-such-program"}, Env: stepEnv, Attend: func(context.Context, *Attended) {
		t.Error("attended")
	}})
	var not *NotStartedError
	require.ErrorAs(t, err, &not)
}

func TestAnAttendedCommandReapsWhatIsLeftToIt(t *testing.T) {
	t.Parallel()
	p := newPool(t, Config{Log: quiet(), Memory: 64 << 20})
	_, err := attended(t, p, "(sleep 0.01 &) ; exec sleep 1000", func(_ context.Context, a *Attended) {
		require.Eventually(t, func() bool {
			code, err := a.Exec([]string{"sh", "-c", "! ps -eo stat= | grep -q Z"}, long)
			return err == nil && code == 0
		}, long, 100*time.Millisecond)
	})
	require.NoError(t, err)
}
