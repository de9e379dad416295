package simulate

import (
	"fmt"
	"strings"

	"argosy/queue"
	"argosy/queue/queuesim"
	"argosy/workflow"
)

// tracing says that somebody reads the trace.
func (w *world) tracing() bool { return w.out != nil }

// trace notes what a process does; nil is the world.
func (w *world) trace(p *process, format string, args ...any) {
	if w.out == nil {
		return
	}
	who := "-"
	if p != nil {
		who = p.id()
		if p.current != nil && p.current.name != "main" {
			who += "/" + p.current.name
		}
	}
	fmt.Fprintf(w.out, "%10.4f  %-22s %s\n", w.now.Sub(epoch).Seconds(), who, fmt.Sprintf(format, args...))
}

// name is how a trace calls a delivery.
func name(d queue.Delivery) string { return fmt.Sprintf("%s#%d", nodeName(d.Run, d.Key), d.Number) }

func nodeName(run string, k workflow.Key) string { return k.Name(run) }

// describe says what a command does and, once it was applied, what came of it.
func describe(c *queuesim.Command) string {
	var b strings.Builder
	b.WriteString(c.String())
	switch c.Script {
	case "begin", "commit", "hold", "report", "renew", "signal", "touch", "release", "clear":
		b.WriteString(" " + runOf(c.Keys[0]))
	}
	switch c.Script {
	case "":
		b.WriteString(" " + short(strings.Join(c.Args, " ")))
	case "commit":
		b.WriteString(" " + short(c.Args[0]))
		for i := 2; i+1 < len(c.Args); i += 2 {
			fmt.Fprintf(&b, " [%s %s]", c.Args[i], phaseOf(c.Args[i+1]))
		}
	case "begin":
		b.WriteString(" " + strings.Join(c.Args, " "))
	default:
		b.WriteString(" " + short(strings.Join(c.Args, " ")))
	}
	switch {
	case c.Err != nil:
		fmt.Fprintf(&b, " -> %v", c.Err)
	case c.Answer != nil:
		b.WriteString(" -> " + answer(c))
	}
	return b.String()
}

// answer is what a command was answered, without what is long.
func answer(c *queuesim.Command) string {
	list, ok := c.Answer.([]any)
	if !ok {
		return short(fmt.Sprint(c.Answer))
	}
	run, begun := took(c)
	switch {
	case c.Script == "take" && len(begun) > 9:
		return fmt.Sprintf("%s begun: %s", run, turnOf(begun))
	case c.Script == "begin" && len(list) > 9:
		return turnOf(list)
	case c.Script == "hold":
		return "held"
	}
	return short(fmt.Sprint(list))
}

// turnOf is what begin.lua answered.
func turnOf(list []any) string {
	return fmt.Sprintf("token %v version %v next %v events %v timers %v out %v overdue %v", list[1], list[2], list[3], list[6], list[7], list[8], list[9])
}

func short(s string) string {
	const most = 300
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}

// runOf is the run that a key belongs to.
func runOf(key string) string { return strings.TrimPrefix(slot(key), "r:") }

func phaseOf(node string) string {
	if n, err := workflow.DecodeNode("", []byte(node)); err == nil {
		return string(n.Phase)
	}
	return "?"
}
