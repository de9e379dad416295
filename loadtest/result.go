package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// result is the content of a result file.
type result struct {
	Row     string    `json:"row"`
	About   string    `json:"about"`
	Date    time.Time `json:"date"`
	Commit  string    `json:"commit"` // with -dirty if the tree had changes
	Seed    uint64    `json:"seed"`
	N       int       `json:"n"`
	Machine machine   `json:"machine"`
	// The load of the minute before and after: a fleet on two cores makes one of 2 to 5.
	LoadBefore float64 `json:"loadBefore"`
	LoadAfter  float64 `json:"loadAfter"`

	Value        float64            `json:"value"`
	Unit         string             `json:"unit"`
	Target       float64            `json:"target"`
	LessIsBetter bool               `json:"lessIsBetter"`
	Reached      bool               `json:"reached"`
	Missed       []string           `json:"missed,omitempty"` // conditions beside the value
	Ratio        float64            `json:"ratio"`            // value / the first peer's
	Samples      quantiles          `json:"samples"`
	Peers        []peer             `json:"peers"`
	Notes        map[string]float64 `json:"notes,omitempty"`

	usual int // the row's own n
}

func newResult(s scenario, m measurement, on machine, seed uint64, n int) result {
	target := s.target
	if m.target != 0 {
		target = m.target
	}
	r := result{
		Row: s.row, About: s.about, Date: time.Now().UTC().Truncate(time.Second), Commit: on.commit, Seed: seed, N: n,
		Machine: on, Value: round(m.value), Unit: s.unit, Target: round(target), LessIsBetter: s.lessIsBetter,
		Samples: m.samples, Peers: m.peers, Notes: m.notes, usual: s.n,
	}
	r.Reached = m.value >= target
	if s.lessIsBetter {
		r.Reached = m.value <= target
	}
	r.Reached = r.Reached && len(m.missed) == 0
	r.Missed = m.missed
	if len(m.peers) > 0 && m.peers[0].Value != 0 {
		r.Ratio = round(m.value / m.peers[0].Value)
	}
	return r
}

// line is the row as it is printed.
func (r result) line() string {
	verdict := "short"
	if r.Reached {
		verdict = "ok"
	}
	return fmt.Sprintf("%s value=%g%s target=%g%s ratio=%g %s", r.Row, r.Value, r.Unit, r.Target, r.Unit, r.Ratio, verdict)
}

// write writes the file, named after row, size if it is not the row's own, date and commit.
func (r result) write(dir string) (path string, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	body, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return "", err
	}
	name := r.Row
	if r.N != r.usual {
		name += fmt.Sprintf("-n%d", r.N)
	}
	path = filepath.Join(dir, fmt.Sprintf("%s-%s-%s.json", name, r.Date.Format(time.DateOnly), r.Commit))
	return path, os.WriteFile(path, append(body, '\n'), 0o644)
}
