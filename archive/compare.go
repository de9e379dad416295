package archive

import "cmp"

// Compare orders keys as a tree of numbered nodes goes: byte by byte, but for numbers, which go
// by their size. So the items of a loop that are read together, 998 to 1,002, are neighbours.
func Compare(a, b string) int {
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		if !digit(a[i]) || !digit(b[j]) {
			if a[i] != b[j] {
				return cmp.Compare(a[i], b[j])
			}
			i++
			j++
			continue
		}
		m, n := number(a, i), number(b, j)
		if c := cmp.Or(cmp.Compare(m-i, n-j), cmp.Compare(a[i:m], b[j:n])); c != 0 {
			return c
		}
		i, j = m, n
	}
	return cmp.Compare(len(a)-i, len(b)-j)
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

// number is where the number ends that begins at a place.
func number(s string, at int) int {
	for at < len(s) && digit(s[at]) {
		at++
	}
	return at
}
