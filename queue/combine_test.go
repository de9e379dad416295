package queue_test

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"argosy/queue"
	"argosy/queue/queuetest"
)

// slowRedis answers to pipelines one by one, when it is let.
type slowRedis struct {
	arrived chan []redis.Cmder
	answer  chan error
}

func newSlowRedis() *slowRedis {
	return &slowRedis{arrived: make(chan []redis.Cmder), answer: make(chan error)}
}

func (s *slowRedis) process(_ context.Context, cmds []redis.Cmder) error {
	s.arrived <- cmds
	if err := <-s.answer; err != nil {
		cmds[len(cmds)-1].SetErr(err)
	}
	return nil
}

// caller sends n commands, and tells how that ended.
func (s *slowRedis) caller(ctx context.Context, hook redis.Hook, name string, n int) <-chan error {
	cmds := make([]redis.Cmder, n)
	for i := range cmds {
		cmds[i] = redis.NewCmd(ctx, "echo", name+strconv.Itoa(i))
	}
	done := make(chan error, 1)
	go func() { done <- hook.ProcessPipelineHook(s.process)(ctx, cmds) }()
	synctest.Wait()
	return done
}

func said(cmds []redis.Cmder) (words []any) {
	for _, c := range cmds {
		words = append(words, c.Args()[1])
	}
	return words
}

func TestCallersShareTheNextPipelineInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hook, server := queue.NewCombine(), newSlowRedis()
		a := server.caller(t.Context(), hook, "a", 1)
		b := server.caller(t.Context(), hook, "b", 2)
		c := server.caller(t.Context(), hook, "c", 1)
		d := server.caller(t.Context(), hook, "d", queue.MaxCombined)
		require.Equal(t, []any{"a0"}, said(<-server.arrived), "a lone caller waits for nobody")
		server.answer <- nil
		require.NoError(t, <-a)
		require.Equal(t, []any{"b0", "b1", "c0"}, said(<-server.arrived), "as many go together as there is room for")
		server.answer <- errors.New("c0 is refused")
		require.NoError(t, <-b, "an error is only that of whose command it is")
		require.ErrorContains(t, <-c, "c0 is refused")
		require.Len(t, <-server.arrived, queue.MaxCombined)
		server.answer <- nil
		require.NoError(t, <-d)
		e := server.caller(t.Context(), hook, "e", 1)
		require.Equal(t, []any{"e0"}, said(<-server.arrived))
		server.answer <- nil
		require.NoError(t, <-e)
	})
}

func TestCallersThatCannotWaitGoAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hook, server := queue.NewCombine(), newSlowRedis()
		slow := server.caller(t.Context(), hook, "slow", 1)
		<-server.arrived
		hurried, cancel := context.WithTimeout(t.Context(), queue.CombineTime/2)
		defer cancel()
		quick := server.caller(hurried, hook, "quick", 1)
		require.Equal(t, []any{"quick0"}, said(<-server.arrived))
		server.answer <- nil
		server.answer <- nil
		require.NoError(t, <-quick)
		require.NoError(t, <-slow)
	})
}

func TestManyCallersGetTheirOwnAnswers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, queuetest.Start(t))
	const callers, rounds = 32, 50
	failed := make(chan error, callers)
	for i := range callers {
		go func() { failed <- w.tellMany(strconv.Itoa(i), rounds) }()
	}
	for range callers {
		require.NoError(t, <-failed)
	}
}

// tellMany reserves names, and expects to be told that each is its own.
func (w *world) tellMany(caller string, rounds int) error {
	for i := range rounds {
		id := caller + "-" + strconv.Itoa(i)
		if err := w.runs.Submit(w.ctx, newRun(id), []byte(`{}`)); err != nil {
			return err
		}
		found, err := w.runs.RunID(w.ctx, newRun(id).Namespace, newRun(id).Name)
		if err != nil || found != id {
			return errors.Join(errors.New("found "+found+" for "+id), err)
		}
	}
	return nil
}
