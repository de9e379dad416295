package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"sigs.k8s.io/yaml"
)

// printObject writes v as json or yaml.
func printObject(w io.Writer, format string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the output: %w", err)
	}
	if format == "yaml" {
		if data, err = yaml.JSONToYAML(data); err != nil {
			return fmt.Errorf("encoding the output: %w", err)
		}
	}
	_, err = fmt.Fprintln(w, strings.TrimRight(string(data), "\n"))
	return err
}

// table writes rows of tab separated cells in columns.
func table(w io.Writer, rows []string) error {
	t := tabwriter.NewWriter(w, 0, 8, 3, ' ', 0)
	for _, r := range rows {
		fmt.Fprintln(t, strings.TrimRight(r, "\t"))
	}
	return t.Flush()
}

// parseAge reads a duration that may also be in days: 3d, 1d12h.
func parseAge(flag, text string) (time.Duration, error) {
	days, rest, found := strings.Cut(text, "d")
	var total time.Duration
	if found {
		var n int
		if _, err := fmt.Sscanf(days, "%d", &n); err != nil {
			return 0, usagef("--%s: %q is not a duration such as 90s, 2h or 3d", flag, text)
		}
		total = time.Duration(n) * 24 * time.Hour
	} else {
		rest = text
	}
	if rest != "" {
		d, err := time.ParseDuration(rest)
		if err != nil {
			return 0, usagef("--%s: %q is not a duration such as 90s, 2h or 3d", flag, text)
		}
		total += d
	}
	return total, nil
}
