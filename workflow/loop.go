package workflow

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"argosy/workflow/expr"
	"argosy/workflow/spec"
)

// LoopState is what a loop keeps of its items. A loop in a DAG is Argo's TaskGroup node; one
// in a Steps template has the same record, which the status does not show.
type LoopState struct {
	Count     int            `json:"n"`
	Next      int            `json:"x,omitempty"` // the first item not launched yet
	Running   int            `json:"r,omitempty"` // items launched that have not ended
	Succeeded int            `json:"s,omitempty"`
	Bad       int            `json:"b,omitempty"` // items that Failed or were Errors
	Failed    string         `json:"f,omitempty"` // id of the first of those, by index, that is not tolerated
	First     int            `json:"i,omitempty"` // its index
	Phase     spec.NodePhase `json:"p,omitempty"` // phase of the failed item with the highest index
	Last      int            `json:"l,omitempty"` // that index
}

// items are a loop's values, by index.
type items struct {
	n  int
	at func(i int) json.RawMessage
}

func listItems(list []json.RawMessage) items {
	return items{n: len(list), at: func(i int) json.RawMessage { return list[i] }}
}

// loopItems resolves the values that a call loops over. They follow from the spec and from
// outputs that do not change any more, so that every turn finds the same.
func (t *turn) loopItems(c *call) (items, error) {
	scope := t.callScope(c, nil)
	switch {
	case c.withItems != nil:
		data, err := json.Marshal(c.withItems)
		if err == nil {
			data, err = expr.SubstituteJSON(data, scope, expr.Lenient)
		}
		var list []json.RawMessage
		if err == nil {
			err = json.Unmarshal(data, &list)
		}
		if err != nil {
			return items{}, fmt.Errorf("resolving withItems: %w", err)
		}
		return listItems(list), nil
	case c.withParam != "":
		text, err := expr.Substitute(c.withParam, scope, expr.Strict)
		if err != nil {
			return items{}, fmt.Errorf("resolving withParam: %w", err)
		}
		var list []json.RawMessage
		if err := json.Unmarshal([]byte(strings.TrimSpace(text)), &list); err != nil {
			return items{}, fmt.Errorf("withParam value could not be parsed as a JSON list: %s: %w", abbreviate(text), err)
		}
		return listItems(list), nil
	}
	return sequence(c.withSequence, scope)
}

func abbreviate(s string) string {
	const most = 200
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}

// sequence resolves a withSequence: count from start, or start to end, either way round.
func sequence(s *spec.Sequence, scope expr.Scope) (items, error) {
	number := func(field, text string) (int, error) {
		text, err := expr.Substitute(text, scope, expr.Strict)
		if err != nil {
			return 0, fmt.Errorf("resolving withSequence.%s: %w", field, err)
		}
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil {
			return 0, fmt.Errorf("withSequence.%s %q is not a whole number", field, text)
		}
		return n, nil
	}
	start, count, step := 0, 0, 1
	var err error
	if s.Start != nil {
		if start, err = number("start", s.Start.String()); err != nil {
			return items{}, err
		}
	}
	switch {
	case s.Count != nil:
		if count, err = number("count", s.Count.String()); err != nil {
			return items{}, err
		}
		count = max(count, 0)
	case s.End != nil:
		end, err := number("end", s.End.String())
		if err != nil {
			return items{}, err
		}
		if count = end - start + 1; start > end {
			count, step = start-end+1, -1
		}
	default:
		return items{}, fmt.Errorf("withSequence needs count or end")
	}
	format := "%d"
	if s.Format != "" {
		if format, err = expr.Substitute(s.Format, scope, expr.Strict); err != nil {
			return items{}, fmt.Errorf("resolving withSequence.format: %w", err)
		}
	}
	return items{n: count, at: func(i int) json.RawMessage {
		text, _ := json.Marshal(fmt.Sprintf(format, start+i*step))
		return text
	}}, nil
}

// itemKey is the key of a loop's item: (index:value).
func itemKey(loop Key, i int, item json.RawMessage) Key {
	return loop.Child(fmt.Sprintf("(%d:%s)", i, itemLabel(item)))
}

// itemLabel is the value as node names show it: a scalar's text, a map's sorted key:value
// pairs, a list's JSON.
func itemLabel(item json.RawMessage) string {
	switch v := decodeItem(item).(type) {
	case string:
		return v
	case map[string]any:
		pairs := make([]string, 0, len(v))
		for key, value := range v {
			pairs = append(pairs, key+":"+itemText(value))
		}
		slices.Sort(pairs)
		return strings.Join(pairs, ",")
	}
	return string(item)
}

// decodeItem gives a loop value the form that templates see: scalars are text.
func decodeItem(item json.RawMessage) any {
	d := json.NewDecoder(strings.NewReader(string(item)))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return string(item)
	}
	switch v := v.(type) {
	case map[string]any, []any:
		return v
	default:
		return itemText(v)
	}
}

func itemText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case nil:
		return "null"
	case json.Number:
		return v.String()
	}
	text, _ := json.Marshal(v)
	return string(text)
}

// startLoop makes the loop's record and launches what there is room for.
func (t *turn) startLoop(k Key, c *call) {
	list, err := t.loopItems(c)
	if err != nil {
		t.fail(k, spec.NodeTypeTaskGroup, c.template, nil, err)
		return
	}
	n := &Node{Key: k, Type: spec.NodeTypeTaskGroup, Template: c.template, Phase: spec.NodeRunning, Started: t.now}
	if list.n == 0 {
		n.Type = spec.NodeTypeSkipped
		t.finish(n, spec.NodeSkipped, "Skipped, empty params")
		return
	}
	n.Loop = &LoopState{Count: list.n}
	t.put(n)
	t.expandItems(n, c, list)
}

// expand goes on with a loop that waited for room.
func (t *turn) expand(n *Node, c *call) {
	if t.closing() {
		t.settleLoop(n)
		return
	}
	list, err := t.loopItems(c)
	if err != nil {
		t.finish(n, spec.NodeError, err.Error())
		return
	}
	t.expandItems(n, c, list)
}

func (t *turn) expandItems(n *Node, c *call, list items) {
	for n.Loop.Next < list.n {
		if !t.hasRoom() {
			t.delta.State.Ready = append(t.delta.State.Ready, n.Key)
			break
		}
		i := n.Loop.Next
		n.Loop.Next++
		n.Loop.Running++
		item := list.at(i)
		t.start(itemKey(n.Key, i, item), c, item)
	}
	t.settleLoop(n)
}

// itemEnded takes note of an item's end.
func (t *turn) itemEnded(n *Node, child *Node) {
	l := n.Loop
	l.Running--
	switch {
	case child.Phase == spec.NodeSucceeded:
		l.Succeeded++
	case child.Failed():
		l.Bad++
		i := itemIndex(child.Key)
		if l.Phase == "" || i > l.Last {
			l.Phase, l.Last = child.Phase, i
		}
		if (l.Failed == "" || i < l.First) && !t.site(n.Key).tolerates(child.Phase) {
			l.Failed, l.First = child.Key.ID(t.v.Run.Name), i
		}
	}
	t.settleLoop(n)
}

func itemIndex(k Key) int {
	digits, _, _ := strings.Cut(strings.TrimPrefix(k.Segment(), "("), ":")
	i, _ := strconv.Atoi(digits)
	return i
}

// settleLoop ends the loop when every item has ended, or none runs and none may start.
func (t *turn) settleLoop(n *Node) {
	l := n.Loop
	if n.Fulfilled() || l.Running > 0 || (l.Next < l.Count && !t.closing()) {
		return
	}
	switch {
	case l.Phase != "":
		t.finish(n, l.Phase, "")
	case l.Next < l.Count:
		t.finish(n, spec.NodeFailed, t.closingMessage())
	default:
		t.finish(n, spec.NodeSucceeded, "")
	}
}
