package simulate

import "argosy/queue/queuesim"

// turn is a begun turn.
type turn struct {
	token     int64
	by        *process
	signalled bool // it was given a signal
}

// begins notes a turn, by the answer of begin.lua.
func (r *runWatch) begins(p *process, answer []any) {
	if len(answer) > 6 {
		events, _ := answer[6].([]any)
		token, _ := answer[1].(int64)
		r.turn = turn{token: token, by: p, signalled: signals(events)}
	}
}

// took reads of take.lua's answer which run's turn was begun, and what begin.lua says of it.
func took(c *queuesim.Command) (run string, begun []any) {
	list, _ := c.Answer.([]any)
	if c.Script != "take" || len(list) != 2 {
		return "", nil
	}
	tried, _ := list[0].([]any)
	begun, _ = list[1].([]any)
	if len(tried) == 0 || begun == nil {
		return "", nil
	}
	claimed, _ := tried[len(tried)-1].([]any)
	runs, _ := claimed[0].([]any)
	run, _ = runs[0].(string)
	return run, begun
}
