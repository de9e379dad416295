package spec

import (
	"fmt"
	"strings"
)

// didYouMean returns a hint with the candidate that is nearest to name, or "" when none is
// near enough to be a slip of the hand.
func didYouMean(name string, candidates []string) string {
	limit := min(1+len(name)/4, len(name)/2) // of a single letter everything is near
	best, found := limit+1, ""
	for _, c := range candidates {
		if d := len(c) - len(name); d > limit || -d > limit {
			continue
		}
		if d := editDistance(strings.ToLower(name), strings.ToLower(c), limit); d < best || (d == best && c < found) {
			best, found = d, c
		}
	}
	if found == "" || best > limit {
		return ""
	}
	return fmt.Sprintf("did you mean %q?", found)
}

// editDistance counts insertions, deletions, replacements and swaps of neighbours between a
// and b. Beyond limit it returns some number above limit.
func editDistance(a, b string, limit int) int {
	prev2, prev, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		lowest := i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], prev2[j-2]+1)
			}
			lowest = min(lowest, row[j])
		}
		if lowest > limit {
			return limit + 1
		}
		prev2, prev, row = prev, row, prev2
	}
	return prev[len(b)]
}
