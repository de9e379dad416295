package queuesim

import "maps"

// Snapshot is what a server held at one moment.
type Snapshot struct {
	keys []savedKey
}

type savedKey struct {
	name, kind string
	text       string
	list       []string // of a list or set; of a hash, field, value, ..
	scores     map[string]float64
}

// Save remembers all that the server holds. Times to live are not kept: nothing that a
// simulation looks at has one.
func (s *Server) Save() *Snapshot {
	snap := &Snapshot{}
	for _, name := range s.mini.Keys() {
		k := savedKey{name: name, kind: s.mini.Type(name)}
		switch k.kind {
		case "string":
			k.text, _ = s.mini.Get(name)
		case "list":
			l, _ := s.mini.List(name)
			k.list = append(k.list, l...)
		case "set":
			members, _ := s.mini.SMembers(name)
			k.list = append(k.list, members...)
		case "zset":
			scores, _ := s.mini.SortedSet(name)
			k.scores = maps.Clone(scores)
		case "hash":
			fields, _ := s.mini.HKeys(name)
			for _, f := range fields {
				k.list = append(k.list, f, s.mini.HGet(name, f))
			}
		}
		snap.keys = append(snap.keys, k)
	}
	return snap
}

// Restore makes the keys that which chooses what they were at the time of the snapshot: what
// was written since is lost.
func (s *Server) Restore(snap *Snapshot, which func(key string) bool) {
	s.writes++
	for _, name := range s.mini.Keys() {
		if which(name) {
			s.mini.Del(name)
		}
	}
	for _, k := range snap.keys {
		if !which(k.name) {
			continue
		}
		switch k.kind {
		case "string":
			_ = s.mini.Set(k.name, k.text)
		case "list":
			_, _ = s.mini.Push(k.name, k.list...)
		case "set":
			_, _ = s.mini.SAdd(k.name, k.list...)
		case "zset":
			for member, score := range k.scores {
				_, _ = s.mini.ZAdd(k.name, score, member)
			}
		case "hash":
			s.mini.HSet(k.name, k.list...)
		}
	}
}
