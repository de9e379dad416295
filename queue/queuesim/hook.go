package queuesim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// Gate stands between a process and the server. Its methods are called by whatever goroutine
// of the process sends the command, and may keep it.
type Gate interface {
	// Before is called before a command is applied. After an error it is not, nor is the rest
	// of its pipeline, and the process gets the error.
	Before(c *Command) error
	// Applied is called when a command was applied, whatever becomes of the answer.
	Applied(c *Command)
	// After is called after that. After an error the process gets that in place of the
	// answers of this command and the rest of its pipeline, which is applied.
	After(c *Command) error
	// Wait returns when there is something, or the time has passed.
	Wait(c *Command, something func() bool, timeout time.Duration) error
}

// Hook is what queue.Options take to connect to the server through the gate.
func (s *Server) Hook(g Gate) redis.Hook { return &hook{server: s, gate: g} }

// URL is an address to give to queue.Connect beside a Hook. Nothing is opened there.
const URL = "redis://127.0.0.1:1"

type hook struct {
	server *Server
	gate   Gate
}

func (h *hook) DialHook(redis.DialHook) redis.DialHook {
	return func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("a simulated process has no network")
	}
}

func (h *hook) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(_ context.Context, cmd redis.Cmder) error {
		h.pipeline([]redis.Cmder{cmd})
		return cmd.Err()
	}
}

func (h *hook) ProcessPipelineHook(redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(_ context.Context, cmds []redis.Cmder) error {
		h.pipeline(cmds)
		for _, cmd := range cmds {
			if err := cmd.Err(); err != nil {
				return err
			}
		}
		return nil
	}
}

// pipeline applies commands one after the other; others may come between two of them, unless
// they are a transaction.
func (h *hook) pipeline(cmds []redis.Cmder) {
	var lost error // the answers are
	atomic := false
	for i, cmd := range cmds {
		c, err := h.server.command(cmd)
		if err != nil {
			cmd.SetErr(err)
			continue
		}
		c.First = i == 0
		if lost == nil && !atomic {
			if err := h.gate.Before(c); err != nil {
				for _, rest := range cmds[i:] {
					rest.SetErr(err)
				}
				return
			}
		}
		switch c.Name {
		case "multi":
			atomic = true
			continue
		case "exec":
			atomic = false
			continue
		case "brpop":
			if err := h.wait(c); err != nil {
				for _, rest := range cmds[i:] {
					rest.SetErr(err)
				}
				return
			}
			c.Answer, c.Err = h.server.pop(c.Args[:len(c.Args)-1])
		default:
			c.Answer, c.Err = h.server.do(c)
		}
		h.gate.Applied(c)
		if lost == nil {
			lost = h.gate.After(c)
		}
		if lost != nil {
			cmd.SetErr(lost)
			continue
		}
		answer(cmd, c)
	}
}

// wait is the first half of BRPOP: it returns when there is something to pop, or no more time.
func (h *hook) wait(c *Command) error {
	lists := c.Args[:len(c.Args)-1]
	seconds, err := strconv.ParseFloat(c.Args[len(c.Args)-1], 64)
	if err != nil {
		return fmt.Errorf("reading the timeout of %v: %w", c.Args, err)
	}
	something := func() bool { return h.server.any(lists) }
	if something() {
		return nil
	}
	return h.gate.Wait(c, something, time.Duration(seconds*float64(time.Second)))
}

// command reads what go-redis would send.
func (s *Server) command(cmd redis.Cmder) (*Command, error) {
	args := cmd.Args()
	c := &Command{Name: cmd.Name(), Args: make([]string, len(args)-1)}
	for i, a := range args[1:] {
		switch a := a.(type) {
		case string:
			c.Args[i] = a
		case []byte:
			c.Args[i] = string(a)
		case int:
			c.Args[i] = strconv.Itoa(a)
		case int64:
			c.Args[i] = strconv.FormatInt(a, 10)
		case uint64:
			c.Args[i] = strconv.FormatUint(a, 10)
		case bool:
			if c.Args[i] = "0"; a {
				c.Args[i] = "1"
			}
		default:
			return nil, fmt.Errorf("ERR argument %d of %s is a %T", i+1, c.Name, a)
		}
	}
	return c, s.parse(c)
}

// redisError is an error that the server answered.
type redisError struct{ error }

func (redisError) RedisError() {}

// answer gives a command what the server said.
func answer(cmd redis.Cmder, c *Command) {
	if c.Err != nil {
		cmd.SetErr(redisError{c.Err})
		return
	}
	if s, ok := c.Answer.(status); ok {
		c.Answer = string(s)
	}
	list, _ := c.Answer.([]any)
	switch cmd := cmd.(type) {
	case *redis.Cmd:
		if c.Answer == nil {
			cmd.SetErr(redis.Nil)
			return
		}
		cmd.SetVal(c.Answer)
	case *redis.StringCmd:
		text, ok := c.Answer.(string)
		if !ok {
			cmd.SetErr(redis.Nil)
			return
		}
		cmd.SetVal(text)
	case *redis.SliceCmd:
		cmd.SetVal(list)
	case *redis.IntCmd:
		n, _ := c.Answer.(int64)
		cmd.SetVal(n)
	case *redis.StatusCmd:
		text, _ := c.Answer.(string)
		cmd.SetVal(text)
	case *redis.StringSliceCmd:
		cmd.SetVal(texts(list))
	case *redis.ScanCmd:
		var page []any
		var cursor string
		if len(list) == 2 {
			cursor, _ = list[0].(string)
			page, _ = list[1].([]any)
		}
		next, err := strconv.ParseUint(cursor, 10, 64)
		if err != nil {
			cmd.SetErr(fmt.Errorf("reading a cursor: %w", err))
			return
		}
		cmd.SetVal(texts(page), next)
	case *redis.MapStringStringCmd:
		m := make(map[string]string, len(list)/2)
		for t := texts(list); len(t) >= 2; t = t[2:] {
			m[t[0]] = t[1]
		}
		cmd.SetVal(m)
	default:
		cmd.SetErr(fmt.Errorf("the simulated Redis gives no %T", cmd))
	}
}

func texts(list []any) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i], _ = v.(string)
	}
	return out
}
