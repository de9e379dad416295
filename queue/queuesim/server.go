package queuesim

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"

	"argosy/queue"
)

// Server is a Redis in memory on a time that it is told. It serves one command at a time and
// may be used by one goroutine at a time.
type Server struct {
	mini  *miniredis.Miniredis
	peer  *server.Peer
	in    *bytes.Buffer // what the peer was answered
	out   *bufio.Writer
	reply *bufio.Reader
	lua   *interpreter

	known  map[string]*script // by hash: all that were ever seen, those of queue to begin with
	loaded map[string]*script // by hash: what EVALSHA finds
	writes int
}

// status is a simple string, such as OK.
type status string

// NewServer makes an empty server. rewrite may give a script of queue another text, under
// the hash of the true one; nil leaves them as they are.
func NewServer(rewrite func(name, source string) string) (*Server, error) {
	s := &Server{
		mini: miniredis.NewMiniRedis(), in: &bytes.Buffer{},
		known: map[string]*script{}, loaded: map[string]*script{},
	}
	s.out, s.reply = bufio.NewWriter(s.in), bufio.NewReader(s.in)
	s.peer = server.NewPeer(s.out)
	conn, err := s.mini.Dial() // starts it, without a network
	if err != nil {
		return nil, fmt.Errorf("starting miniredis: %w", err)
	}
	if err := conn.Close(); err != nil {
		return nil, fmt.Errorf("starting miniredis: %w", err)
	}
	if s.lua, err = newInterpreter(s.apply); err != nil {
		return nil, err
	}
	sources, err := queue.Scripts()
	if err != nil {
		return nil, err
	}
	for name, source := range sources {
		text := source
		if rewrite != nil {
			text = rewrite(name, source)
		}
		if s.known[sha(source)], err = s.lua.compile(name, text); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Close releases the server.
func (s *Server) Close() {
	s.mini.Close()
	s.lua.state.Close()
}

// SetTime sets the server's clock.
func (s *Server) SetTime(t time.Time) { s.mini.SetTime(t) }

// Forget is what a restart does beside the data: EVALSHA knows no script any more.
func (s *Server) Forget() { clear(s.loaded) }

// Flush empties the server.
func (s *Server) Flush() {
	s.mini.FlushAll()
	s.Forget()
}

// Writes grows whenever a command was applied that may have changed something.
func (s *Server) Writes() int { return s.writes }

// apply has miniredis apply a command.
func (s *Server) apply(args []string) (any, error) {
	s.mini.Server().Dispatch(s.peer, args)
	if err := s.out.Flush(); err != nil {
		return nil, fmt.Errorf("reading miniredis's answer: %w", err)
	}
	s.reply.Reset(s.in)
	v, err := server.ParseReply(s.reply)
	s.in.Reset()
	if err != nil {
		return nil, err
	}
	return plain(v), nil
}

// plain gives an answer the types that go-redis has for them.
func plain(v any) any {
	switch v := v.(type) {
	case int:
		return int64(v)
	case server.Simple:
		return status(v)
	case []any:
		for i, e := range v {
			v[i] = plain(e)
		}
	}
	return v
}

// errNoScript is what a server says to the hash of a script that it does not have.
var errNoScript = errors.New("NOSCRIPT No matching script. Please use EVAL.")

// do applies a command of a process.
func (s *Server) do(c *Command) (any, error) {
	s.writes++
	switch c.Name {
	case "script":
		return s.load(c.Args[1])
	case "eval":
		if _, err := s.load(c.source); err != nil {
			return nil, err
		}
	case "evalsha":
	default:
		return s.apply(slices.Concat([]string{c.Name}, c.Args))
	}
	script := s.loaded[c.hash]
	if script == nil {
		return nil, errNoScript
	}
	return s.lua.run(script, c.Keys, c.Args)
}

// load makes a script known to EVALSHA.
func (s *Server) load(source string) (string, error) {
	hash := sha(source)
	if s.known[hash] == nil {
		other, err := s.lua.compile("unknown", source)
		if err != nil {
			return "", err
		}
		s.known[hash] = other
	}
	s.loaded[hash] = s.known[hash]
	return hash, nil
}

// parse finds out which script a command runs, and on what.
func (s *Server) parse(c *Command) error {
	if c.Name != "evalsha" && c.Name != "eval" {
		return nil
	}
	if len(c.Args) < 2 {
		return errors.New("ERR wrong number of arguments")
	}
	n, err := strconv.Atoi(c.Args[1])
	if err != nil || n > len(c.Args)-2 {
		return fmt.Errorf("ERR %q is no number of keys", c.Args[1])
	}
	c.hash = c.Args[0]
	if c.Name == "eval" {
		c.source, c.hash = c.hash, sha(c.hash)
	}
	if known := s.known[c.hash]; known != nil {
		c.Script = known.name
	}
	c.Keys, c.Args = c.Args[2:2+n], c.Args[2+n:]
	return nil
}

// pop is one look of BRPOP: the first list that has something.
func (s *Server) pop(lists []string) (any, error) {
	for _, l := range lists {
		v, err := s.apply([]string{"rpop", l})
		if v != nil || err != nil {
			return []any{l, v}, err
		}
	}
	return nil, nil
}

func (s *Server) any(lists []string) bool {
	return slices.ContainsFunc(lists, s.mini.Exists)
}

// What a test looks at.

// Keys returns every key, sorted.
func (s *Server) Keys() []string { return s.mini.Keys() }

// Has says that there is a key.
func (s *Server) Has(key string) bool { return s.mini.Exists(key) }

// Text returns a string, "" if there is none.
func (s *Server) Text(key string) string {
	text, err := s.mini.Get(key)
	if err != nil {
		return ""
	}
	return text
}

// Fields returns the fields of a hash, sorted; none if there is no such hash.
func (s *Server) Fields(key string) []string {
	fields, err := s.mini.HKeys(key)
	if err != nil {
		return nil
	}
	return fields
}

// Field returns a field of a hash, "" if there is none.
func (s *Server) Field(key, field string) string { return s.mini.HGet(key, field) }

// SetField sets a field of a hash, as if it had always been so.
func (s *Server) SetField(key, field, value string) {
	s.writes++
	s.mini.HSet(key, field, value)
}

// SetText sets a string.
func (s *Server) SetText(key, value string) {
	s.writes++
	if err := s.mini.Set(key, value); err != nil {
		panic(err)
	}
}

// Members returns the members of a set, in order.
func (s *Server) Members(key string) []string {
	members, err := s.mini.Members(key)
	if err != nil {
		return nil
	}
	return members
}

// List returns a list, none if there is none.
func (s *Server) List(key string) []string {
	l, err := s.mini.List(key)
	if err != nil {
		return nil
	}
	return l
}

// Scores returns a sorted set's members, none if there is no such set.
func (s *Server) Scores(key string) map[string]float64 {
	z, err := s.mini.SortedSet(key)
	if err != nil {
		return nil
	}
	return z
}

// Command is a command of a process.
type Command struct {
	Name   string   // in lower case
	Script string   // the name of the script that it runs
	First  bool     // of its pipeline: it is sent, and the others with it
	Keys   []string // of a script
	Args   []string // of a script, what follows its keys
	Answer any      // once it was applied: int64, string, nil or a list of them
	Err    error    // that the server answered

	hash, source string // of the script
}

// String names the command for a trace.
func (c *Command) String() string {
	if c.Script != "" {
		return c.Script
	}
	return strings.ToUpper(c.Name)
}
