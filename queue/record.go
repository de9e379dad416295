package queue

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"argosy/workflow"
)

// How a run is written down. What never changes is one string, so that a run that waits for
// its first turn costs little: a hash with such a field would be a table. The id is in the
// key.

// encodeRun is what runKey holds.
func encodeRun(run *workflow.Run, digest string) (string, error) {
	header := *run
	header.ID = ""
	data, err := json.Marshal(header)
	if err != nil {
		return "", fmt.Errorf("encoding run %s: %w", run.ID, err)
	}
	return digest + " " + string(data), nil
}

func decodeRun(id string, record any) (run *workflow.Run, digest string, err error) {
	digest, data, _ := strings.Cut(asString(record), " ")
	if err := json.Unmarshal([]byte(data), &run); err != nil {
		return nil, "", fmt.Errorf("decoding the header of run %s: %w", id, err)
	}
	run.ID = id
	return run, digest, nil
}

// decodeState reads what stateKey holds, which commit.lua writes; nil is a run that had no
// commit yet.
func decodeState(record any) (state workflow.State, version int64, err error) {
	if record == nil {
		return state, 0, nil
	}
	number, data, _ := strings.Cut(asString(record), " ")
	if version, err = strconv.ParseInt(number, 10, 64); err != nil {
		return state, 0, fmt.Errorf("decoding a run's version: %w", err)
	}
	if err := json.Unmarshal([]byte(data), &state); err != nil {
		return state, 0, fmt.Errorf("decoding a run's state: %w", err)
	}
	return state, version, nil
}

// headKeys are what a run is shown from but for its nodes.
func headKeys(id string) []string { return []string{runKey(id), stateKey(id)} }

func decodeHead(id string, values []any) (*Snapshot, error) {
	if len(values) != 2 || values[0] == nil {
		return nil, ErrNotFound
	}
	s := &Snapshot{}
	var err error
	if s.Run, s.Digest, err = decodeRun(id, values[0]); err != nil {
		return nil, err
	}
	if s.State, s.Version, err = decodeState(values[1]); err != nil {
		return nil, fmt.Errorf("reading run %s: %w", id, err)
	}
	return s, nil
}
