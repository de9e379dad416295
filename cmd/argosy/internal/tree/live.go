package tree

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"argosy/workflow/spec"
)

// frame is the least time between two drawings of a tree.
const frame = 100 * time.Millisecond

// Screen is where a Live tree is drawn.
type Screen struct {
	W      io.Writer
	Size   func() (width, height int) // asked at each drawing: windows change
	Now    func() time.Time
	Colour bool
	ASCII  bool
}

// Live draws the states that come in, in place and at most ten times a second, until the
// channel closes or ctx ends. The last state stays on the screen.
func (s *Screen) Live(ctx context.Context, states <-chan *spec.Workflow) {
	var current *spec.Workflow
	var drawn int
	var last time.Time
	draw := func() {
		if current != nil {
			drawn = s.draw(current, drawn)
			last = s.Now()
		}
	}
	_, _ = io.WriteString(s.W, "\x1b[?25l")                    // no cursor while lines move
	defer func() { _, _ = io.WriteString(s.W, "\x1b[?25h") }() // when it fails the terminal is gone
	tick := time.NewTimer(frame)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			draw()
			return
		case wf, ok := <-states:
			if !ok {
				draw()
				return
			}
			current = wf
			if wait := frame - s.Now().Sub(last); wait > 0 {
				tick.Reset(wait)
			} else {
				draw()
				tick.Reset(time.Second)
			}
		case <-tick.C:
			draw()                  // what came in too soon, or just the durations
			tick.Reset(time.Second) // of what runs
		}
	}
}

// draw replaces what it drew before and returns the number of lines.
func (s *Screen) draw(wf *spec.Workflow, drawn int) int {
	width, height := s.Size()
	o := Options{Now: s.Now(), Colour: s.Colour, ASCII: s.ASCII, Width: width, Height: max(height-3, 1)}
	lines := append([]string{s.heading(wf, o)}, Render(wf, o)...)
	var b strings.Builder
	if drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", drawn)
	}
	for _, l := range lines {
		b.WriteString("\r\x1b[K" + l + "\n")
	}
	b.WriteString("\x1b[J")
	io.WriteString(s.W, b.String()) //nolint:errcheck // a terminal that is gone ends the process
	return len(lines)
}

func (s *Screen) heading(wf *spec.Workflow, o Options) string {
	phase := spec.NodePhase(wf.Status.Phase)
	parts := []string{wf.Name, string(wf.Status.Phase)}
	if p := wf.Status.Progress; p != "" {
		parts = append(parts, string(p))
	}
	if d := Duration(wf.Status.StartedAt.Time, wf.Status.FinishedAt.Time, o.Now); d != "" {
		parts = append(parts, d)
	}
	if m := OneLine(wf.Status.Message); m != "" {
		parts = append(parts, m)
	}
	line := Cut(strings.Join(parts, "  "), o.Width, o.ASCII)
	return Paint(phase, line, o.Colour)
}

// Log prints the states that come in as lines, one for each change of a node.
func (s *Screen) Log(ctx context.Context, states <-chan *spec.Workflow) {
	var before *spec.Workflow
	for {
		select {
		case <-ctx.Done():
			return
		case wf, ok := <-states:
			if !ok {
				return
			}
			for _, line := range Changes(before, wf, s.Now(), s.ASCII) {
				fmt.Fprintln(s.W, line)
			}
			before = wf
		}
	}
}
