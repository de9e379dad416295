package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// corpus is a directory of workflows and what is said of them.
type corpus struct {
	dir     string
	runs    []testCase
	lints   []lintCase
	support []string // paths of files to load first
}

// testCase is a row of expected.csv.
type testCase struct {
	path, family, kinds string
	features, needs     []string
	expected            string
}

// lintCase is a row of lint.csv.
type lintCase struct{ path, expected, note string }

func readCorpus(dir string) (*corpus, error) {
	c := &corpus{dir: dir}
	rows, err := readTable(filepath.Join(dir, "expected.csv"), "path", "expected")
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		t := testCase{path: row["path"], family: row["family"], kinds: row["kinds"], features: words(row["features"]), needs: words(row["needs"]), expected: row["expected"]}
		// A family may say what its members need beyond what the column has words for.
		if need, ok := strings.CutPrefix(t.family, "env: "); ok {
			t.needs = append(t.needs, need)
		}
		c.runs = append(c.runs, t)
	}
	// The longest first, so that none of them is what all wait for in the end.
	slices.SortStableFunc(c.runs, func(a, b testCase) int { return rank(a) - rank(b) })
	if rows, err = readTable(filepath.Join(dir, "lint.csv"), "path", "expected"); err != nil {
		return nil, err
	}
	for _, row := range rows {
		c.lints = append(c.lints, lintCase{row["path"], row["expected"], row["note"]})
	}
	text, err := os.ReadFile(filepath.Join(dir, "support.txt"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			c.support = append(c.support, line)
		}
	}
	return c, nil
}

func rank(t testCase) int {
	if t.family == slow {
		return 0
	}
	return 1
}

// readTable reads a CSV file by the names of its columns; without the file there are no rows.
func readTable(path string, columns ...string) ([]map[string]string, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	reader := csv.NewReader(f)
	reader.FieldsPerRecord = -1
	lines, err := reader.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	if len(lines) == 0 {
		return nil, nil
	}
	for _, column := range columns {
		if !slices.Contains(lines[0], column) {
			return nil, fmt.Errorf("%s has no column %q", path, column)
		}
	}
	var rows []map[string]string
	for _, line := range lines[1:] {
		row := map[string]string{}
		for i, value := range line[:min(len(line), len(lines[0]))] {
			row[lines[0][i]] = strings.TrimSpace(value)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// chosen are the cases whose path or family matches.
func (c *corpus) chosen(only *regexp.Regexp) []testCase {
	return slices.DeleteFunc(slices.Clone(c.runs), func(t testCase) bool {
		return !only.MatchString(t.path) && !only.MatchString(t.family)
	})
}

// each applies do to all, so many at once, and keeps the order.
func each[T any](parallel int, all []T, do func(*T) outcome) []outcome {
	out := make([]outcome, len(all))
	slots := make(chan struct{}, max(parallel, 1))
	var wait sync.WaitGroup
	for i := range all {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			out[i] = do(&all[i])
		})
	}
	wait.Wait()
	return out
}
