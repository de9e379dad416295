package queue

import (
	"context"
	"embed"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

//go:embed lua/*.lua
var luaFiles embed.FS

// scripts holds the Lua scripts by the names of their files.
type scripts struct {
	ring, claim, extend, settle  *redis.Script
	takename, signal             *redis.Script
	begin, commit, clear, touch  *redis.Script
	hold, renew, report, release *redis.Script
	ready                        *redis.Script
	log, poolDemand, handback    *redis.Script
	sweep, tally, garbage        *redis.Script
	items, chunk, remove, look   *redis.Script
	object, once, takeup, reopen *redis.Script
	retain, copy                 *redis.Script
	cronload, croncommit         *redis.Script
	lock, unsure, take, place    *redis.Script
	doom, memo, forget           *redis.Script
	archiving, archived          *redis.Script
	restore, restored            *redis.Script

	along string // to follow asynq's script that enqueues, as the function enqueue

	mu      sync.Mutex
	sources []string
	learned map[string]*redis.Script
}

// learn adds a script that is not ours, to have it loaded with the others.
func (s *scripts) learn(src string) *redis.Script {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.learned[src] == nil {
		s.learned[src] = redis.NewScript(src)
		s.sources = append(s.sources, src)
	}
	return s.learned[src]
}

// Scripts returns the Lua scripts by their names, for whoever runs them outside of Redis.
func Scripts() (map[string]string, error) {
	files, err := luaFiles.ReadDir("lua")
	if err != nil {
		return nil, fmt.Errorf("listing the Lua scripts: %w", err)
	}
	sources := make(map[string]string, len(files))
	for _, f := range files {
		name := strings.TrimSuffix(f.Name(), ".lua")
		if sources[name], err = readScript(name); err != nil {
			return nil, err
		}
	}
	return sources, nil
}

// calls are the scripts that others call, as functions of their names.
var calls = map[string][]string{
	"take": {"claim", "begin"},
	"lock": {"standing"}, "place": {"standing"},
}

// readScript returns the text of a script, after what it calls.
func readScript(name string) (string, error) {
	var b strings.Builder
	for _, part := range append(slices.Clone(calls[name]), name) {
		src, err := luaFiles.ReadFile(path.Join("lua", part+".lua"))
		if err != nil {
			return "", fmt.Errorf("reading a Lua script: %w", err)
		}
		if part == name {
			b.Write(src)
		} else {
			b.WriteString(asFunction(part, string(src)))
		}
	}
	return b.String(), nil
}

// asFunction makes of a script a function for another one, that follows it.
func asFunction(name, src string) string {
	return "local function " + name + "(KEYS, ARGV)\n" + src + "\nend\n"
}

func loadScripts() (*scripts, error) {
	s := &scripts{learned: map[string]*redis.Script{}}
	for name, script := range map[string]**redis.Script{
		"ring": &s.ring, "claim": &s.claim, "extend": &s.extend, "settle": &s.settle,
		"takename": &s.takename, "signal": &s.signal,
		"begin": &s.begin, "commit": &s.commit, "clear": &s.clear, "touch": &s.touch,
		"hold": &s.hold, "renew": &s.renew, "report": &s.report, "ready": &s.ready, "release": &s.release,
		"log": &s.log, "demand": &s.poolDemand, "handback": &s.handback, "sweep": &s.sweep, "tally": &s.tally, "garbage": &s.garbage,
		"items": &s.items, "chunk": &s.chunk, "remove": &s.remove, "look": &s.look,
		"object": &s.object, "once": &s.once, "retain": &s.retain, "takeup": &s.takeup, "copy": &s.copy, "reopen": &s.reopen, "cronload": &s.cronload, "croncommit": &s.croncommit,
		"lock": &s.lock, "unsure": &s.unsure, "take": &s.take, "place": &s.place, "doom": &s.doom, "memo": &s.memo, "forget": &s.forget,
		"archiving": &s.archiving, "archived": &s.archived, "restore": &s.restore, "restored": &s.restored,
	} {
		src, err := readScript(name)
		if err != nil {
			return nil, err
		}
		*script = redis.NewScript(src)
		s.sources = append(s.sources, src)
	}
	var err error
	s.along, err = readScript("along")
	return s, err
}

// load makes every server know every script, in one round trip each.
func (s *scripts) load(ctx context.Context, client redis.UniversalClient) error {
	s.mu.Lock()
	sources := slices.Clone(s.sources)
	s.mu.Unlock()
	err := each(ctx, client, func(ctx context.Context, server redis.UniversalClient) error {
		_, err := server.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			for _, src := range sources {
				pipe.ScriptLoad(ctx, src)
			}
			return nil
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("loading the Lua scripts: %w", err)
	}
	return nil
}
