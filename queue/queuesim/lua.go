package queuesim

import (
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	luajson "github.com/alicebob/miniredis/v2/gopher-json"
	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/parse"
)

// script is a Lua script that the server was given.
type script struct {
	name string
	main *lua.LFunction
}

// interpreter runs scripts as miniredis does, but in one state: to make a state costs more
// than most scripts do.
type interpreter struct {
	state *lua.LState
	call  func(args []string) (any, error)
}

func newInterpreter(call func(args []string) (any, error)) (*interpreter, error) {
	in := &interpreter{state: lua.NewState(lua.Options{SkipOpenLibs: true}), call: call}
	l := in.state
	for _, lib := range []struct {
		name string
		open lua.LGFunction
	}{
		{lua.LoadLibName, lua.OpenPackage}, {lua.BaseLibName, lua.OpenBase}, {lua.TabLibName, lua.OpenTable},
		{lua.StringLibName, lua.OpenString}, {lua.MathLibName, lua.OpenMath},
	} {
		if err := l.CallByParam(lua.P{Fn: l.NewFunction(lib.open), Protect: true}, lua.LString(lib.name)); err != nil {
			return nil, fmt.Errorf("opening the Lua library %q: %w", lib.name, err)
		}
	}
	if err := l.CallByParam(lua.P{Fn: l.NewFunction(luajson.Loader), NRet: 1, Protect: true}); err != nil {
		return nil, fmt.Errorf("opening cjson: %w", err)
	}
	l.SetGlobal("cjson", l.Get(-1))
	l.Pop(1)
	redis := l.NewTable()
	redis.RawSetString("call", l.NewFunction(in.redisCall))
	l.SetGlobal("redis", redis)
	return in, nil
}

// compile prepares a script. The chunk's function is kept: it has no state of its own.
func (in *interpreter) compile(name, source string) (*script, error) {
	chunk, err := parse.Parse(strings.NewReader(source), name)
	if err != nil {
		return nil, fmt.Errorf("parsing script %s: %w", name, err)
	}
	proto, err := lua.Compile(chunk, name)
	if err != nil {
		return nil, fmt.Errorf("compiling script %s: %w", name, err)
	}
	return &script{name: name, main: in.state.NewFunctionFromProto(proto)}, nil
}

// run runs a script; the error is what Redis would answer.
func (in *interpreter) run(s *script, keys, args []string) (any, error) {
	l := in.state
	l.SetGlobal("KEYS", stringTable(l, keys))
	l.SetGlobal("ARGV", stringTable(l, args))
	defer l.SetTop(0)
	l.Push(s.main)
	if err := l.PCall(0, 1, nil); err != nil {
		return nil, fmt.Errorf("ERR running script %s: %w", s.name, err)
	}
	return fromLua(l.Get(-1))
}

func stringTable(l *lua.LState, values []string) *lua.LTable {
	t := l.CreateTable(len(values), 0)
	for i, v := range values {
		t.RawSetInt(i+1, lua.LString(v))
	}
	return t
}

// redisCall is redis.call.
func (in *interpreter) redisCall(l *lua.LState) int {
	args := make([]string, l.GetTop())
	for i := range args {
		switch v := l.Get(i + 1).(type) {
		case lua.LNumber:
			args[i] = v.String()
		case lua.LString:
			args[i] = string(v)
		default:
			l.RaiseError("Lua redis lib command arguments must be strings or integers")
		}
	}
	answer, err := in.call(args)
	if err != nil {
		l.RaiseError("%s", err.Error())
	}
	l.Push(toLua(l, answer))
	return 1
}

func toLua(l *lua.LState, v any) lua.LValue {
	switch v := v.(type) {
	case int64:
		return lua.LNumber(v)
	case string:
		return lua.LString(v)
	case status:
		t := l.NewTable()
		t.RawSetString("ok", lua.LString(string(v)))
		return t
	case []any:
		t := l.CreateTable(len(v), 0)
		for i, e := range v {
			t.RawSetInt(i+1, toLua(l, e))
		}
		return t
	}
	return lua.LFalse // nil
}

// fromLua is what Redis makes of what a script returns.
func fromLua(v lua.LValue) (any, error) {
	switch v := v.(type) {
	case lua.LBool:
		if v {
			return int64(1), nil
		}
		return nil, nil
	case lua.LNumber:
		return int64(v), nil
	case lua.LString:
		return string(v), nil
	case *lua.LTable:
		if e, ok := v.RawGetString("err").(lua.LString); ok {
			return nil, errors.New(string(e))
		}
		if s, ok := v.RawGetString("ok").(lua.LString); ok {
			return string(s), nil
		}
		list := []any{}
		for i := 1; ; i++ {
			e := v.RawGetInt(i)
			if e == lua.LNil {
				return list, nil
			}
			answer, err := fromLua(e)
			if err != nil {
				return nil, err
			}
			list = append(list, answer)
		}
	}
	return nil, nil
}

func sha(source string) string {
	sum := sha1.Sum([]byte(source))
	return hex.EncodeToString(sum[:])
}
