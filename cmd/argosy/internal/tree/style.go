package tree

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"argosy/workflow/spec"
)

// Mark is the sign of a phase.
func Mark(p spec.NodePhase, ascii bool) string {
	switch p {
	case spec.NodeSucceeded:
		return pick(ascii, "+", "✔")
	case spec.NodeFailed:
		return pick(ascii, "x", "✖")
	case spec.NodeError:
		return pick(ascii, "!", "⚠")
	case spec.NodeRunning:
		return pick(ascii, "*", "●")
	case spec.NodeSkipped, spec.NodeOmitted:
		return pick(ascii, "-", "○")
	}
	return pick(ascii, ".", "◷")
}

func (d *drawing) mark(p spec.NodePhase) string { return Mark(p, d.o.ASCII) }

// Paint colours text by phase if colour says so.
func Paint(p spec.NodePhase, text string, colour bool) string {
	if !colour {
		return text
	}
	return paint(p, text)
}

func paint(p spec.NodePhase, text string) string {
	code := "33" // yellow: waiting
	switch p {
	case spec.NodeSucceeded:
		code = "32"
	case spec.NodeFailed, spec.NodeError:
		code = "31"
	case spec.NodeRunning:
		code = "36"
	case spec.NodeSkipped, spec.NodeOmitted:
		code = "90"
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

type lineArt struct{ tee, corner, fork, bar, blank, dash string }

func (d *drawing) lineArt() lineArt {
	if d.o.ASCII {
		return lineArt{tee: "|", corner: "`", fork: "+", bar: "| ", blank: "  ", dash: "-"}
	}
	return lineArt{tee: "├", corner: "└", fork: "┬", bar: "│ ", blank: "  ", dash: "─"}
}

func pick(ascii bool, plain, pretty string) string {
	if ascii {
		return plain
	}
	return pretty
}

// Duration is the time between two points, up to now if the second is still to come.
func Duration(from, to, now time.Time) string {
	if from.IsZero() {
		return ""
	}
	if to.IsZero() {
		to = now
	}
	d := max(to.Sub(from).Truncate(time.Second), 0)
	h, m, s := int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60
	switch {
	case h >= 48:
		return fmt.Sprintf("%dd%dh", h/24, h%24)
	case h > 0:
		return fmt.Sprintf("%dh%dm", h, m)
	case m > 0:
		return fmt.Sprintf("%dm%ds", m, s)
	}
	return fmt.Sprintf("%ds", s)
}

// Cut shortens a line to the width; 0 is no bound.
func Cut(line string, width int, ascii bool) string {
	if width <= 0 || utf8.RuneCountInString(line) <= width {
		return line
	}
	dots := pick(ascii, "...", "…")
	keep := max(width-utf8.RuneCountInString(dots), 0)
	return string([]rune(line)[:keep]) + dots
}

func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(width-utf8.RuneCountInString(s), 0))
}

// OneLine keeps a message from breaking the tree, or from speaking to the terminal.
func OneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }), " ")
}

// Printable takes from a line of somebody's output what would act on the terminal: all
// control characters but tabs and the sequences that only colour.
func Printable(s string) string {
	if !strings.ContainsFunc(s, control) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		if n := colouring(s[i:]); n > 0 {
			b.WriteString(s[i : i+n])
			i += n
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if !control(r) {
			b.WriteString(s[i : i+size])
		}
		i += size
	}
	return b.String()
}

func control(r rune) bool { return r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0 }

// colouring is the length of the colour sequence that s starts with, 0 if it does not.
func colouring(s string) int {
	rest, ok := strings.CutPrefix(s, "\x1b[")
	if !ok {
		return 0
	}
	digits := strings.TrimLeft(rest, "0123456789;")
	if !strings.HasPrefix(digits, "m") {
		return 0
	}
	return len(s) - len(digits) + 1
}
