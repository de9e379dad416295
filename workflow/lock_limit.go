package workflow

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// limitOf looks up how many may have a lock; 0 is that nobody says so.
func (t *turn) limitOf(l *LockRef) {
	parts := strings.Split(l.Name, "/")
	switch {
	case l.Mutex:
		l.Limit, l.Version = 1, 0
	case l.Database:
		l.Limit, l.Version = 0, 0
		if s := t.syncLimit(parts[0] + "/" + strings.Join(parts[2:], "/")); s != nil {
			l.Limit, l.Version = s.Limit, s.Version
		}
	default:
		l.Limit, l.Version = 0, 0
		name := parts[2]
		if parts[0] != t.v.Run.Namespace {
			name = parts[0] + "/" + name
		}
		if m := t.configMap(name); m != nil {
			l.Limit, l.Version = m.Limit(strings.Join(parts[3:], "/")), m.Version
		}
	}
}

// KindSyncLimit is the kind of object that a semaphore's limit in the database is, by its key.
const KindSyncLimit = "SyncLimit"

// DecodeSyncLimit reads one.
func DecodeSyncLimit(data []byte, version int64) (*SyncLimit, error) {
	l := &SyncLimit{}
	if err := json.Unmarshal(data, l); err != nil {
		return nil, fmt.Errorf("decoding a limit: %w", err)
	}
	l.Version = version
	return l, nil
}

// Limit is a key's value as the limit of a semaphore; 0 if it is none.
func (m *ConfigMap) Limit(key string) int {
	n, err := strconv.Atoi(strings.TrimSpace(m.Data[key]))
	if err != nil || n < 0 || n > math.MaxInt32 {
		return 0
	}
	return n
}

// syncLimit asks for a limit in the database, by NAMESPACE/KEY; nil if there is none.
func (t *turn) syncLimit(name string) *SyncLimit {
	l, ok := t.v.SyncLimits[name]
	if !ok {
		panic(&MissingError{SyncLimit: name}) // recovered in Advance
	}
	return l
}
