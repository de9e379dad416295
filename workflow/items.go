package workflow

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"argosy/workflow/expr"
	"argosy/workflow/spec"
)

// A loop's items are resolved once, when it starts: what they come from may change while the
// loop goes on, and may be as large as the run. A sequence is a formula, and a list that the
// spec holds as it is stays there. Any other list is kept in records of its own below the
// loop, which are written once and never change, so that a loop that goes on reads only the
// record with the items that it starts.
const (
	blockItems = 100
	blockBytes = 16 << 10
)

// SequenceState is a resolved withSequence.
type SequenceState struct {
	Start  int    `json:"s,omitempty"`
	Down   bool   `json:"d,omitempty"`
	Format string `json:"f,omitempty"`
	count  int
}

func (s *SequenceState) at(i int) json.RawMessage {
	if s.Down {
		i = -i
	}
	text := strconv.Itoa(s.Start + i)
	if s.Format != "" {
		text = fmt.Sprintf(s.Format, s.Start+i)
	}
	if s.Format == "" {
		return json.RawMessage(`"` + text + `"`)
	}
	data, _ := json.Marshal(text)
	return data
}

// itemList is one of three: a sequence, values that were resolved, values as the spec has them.
type itemList struct {
	sequence *SequenceState
	resolved []json.RawMessage
	spec     []spec.Item
}

func (l *itemList) len() int {
	if l.sequence != nil {
		return l.sequence.count
	}
	return len(l.resolved) + len(l.spec)
}

// keepItems keeps a loop's items for later turns.
func (t *turn) keepItems(n *Node, l itemList) {
	n.Loop.Sequence = l.sequence
	if len(l.resolved) == 0 {
		return
	}
	size := 0
	for _, v := range l.resolved {
		size += len(v)
	}
	n.Loop.Block = min(blockItems, max(1, blockBytes*len(l.resolved)/max(1, size)))
	i := 0
	for block := range slices.Chunk(l.resolved, n.Loop.Block) {
		t.put(&Node{Key: blockKey(n.Key, i), Items: block})
		i++
	}
}

// blockKey is the key of the i-th record of a loop's items.
func blockKey(loop Key, i int) Key { return loop.Child("#" + strconv.Itoa(i)) }

// needItems asks for the records of some items, all at once.
func (t *turn) needItems(n *Node, from, to int) { t.need(n.Loop.blocks(n.Key, from, to)...) }

// blocks are the keys of the records of some items.
func (l *LoopState) blocks(loop Key, from, to int) []Key {
	if l.Block == 0 || from >= to {
		return nil
	}
	var keys []Key
	for b := from / l.Block; b <= (to-1)/l.Block; b++ {
		keys = append(keys, blockKey(loop, b))
	}
	return keys
}

// item is one of the items of a loop, which comes from the call.
func (t *turn) item(n *Node, c *call, i int) json.RawMessage {
	return n.Loop.item(c, i, func(block int) *Node { return t.node(blockKey(n.Key, block)) })
}

// item is one of the items; block gives the record with those that were resolved.
func (l *LoopState) item(c *call, i int, block func(int) *Node) json.RawMessage {
	switch {
	case l.Sequence != nil:
		return l.Sequence.at(i)
	case l.Block > 0:
		return block(i / l.Block).Items[i%l.Block]
	}
	item, _ := c.withItems[i].MarshalJSON()
	return item
}

// resolveItems resolves the values that a call loops over.
func (t *turn) resolveItems(c *call) (itemList, error) {
	scope := t.callScope(c, nil)
	switch {
	case len(c.withItems) > 0:
		data, err := json.Marshal(c.withItems)
		if err == nil && !bytes.Contains(data, []byte("{{")) {
			return itemList{spec: c.withItems}, nil
		}
		if err == nil {
			data, err = expr.SubstituteJSON(data, scope, expr.Lenient)
		}
		var list []json.RawMessage
		if err == nil {
			err = json.Unmarshal(data, &list)
		}
		if err != nil {
			return itemList{}, fmt.Errorf("resolving withItems: %w", err)
		}
		return itemList{resolved: list}, nil
	case c.withParam != "":
		text, err := expr.Substitute(c.withParam, scope, expr.Strict)
		if err != nil {
			return itemList{}, fmt.Errorf("resolving withParam: %w", err)
		}
		var list []json.RawMessage
		if err := json.Unmarshal([]byte(strings.TrimSpace(text)), &list); err != nil {
			return itemList{}, fmt.Errorf("withParam value could not be parsed as a JSON list: %s: %w", abbreviate(text), err)
		}
		return itemList{resolved: list}, nil
	}
	s, err := resolveSequence(c.withSequence, scope)
	return itemList{sequence: s}, err
}

func abbreviate(s string) string {
	const most = 200
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}

// resolveSequence resolves a withSequence: count from start, or start to end, either way round.
func resolveSequence(s *spec.Sequence, scope expr.Scope) (*SequenceState, error) {
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
	out := &SequenceState{}
	var err error
	if s.Start != nil {
		if out.Start, err = number("start", s.Start.String()); err != nil {
			return nil, err
		}
	}
	switch {
	case s.Count != nil:
		if out.count, err = number("count", s.Count.String()); err != nil {
			return nil, err
		}
		out.count = max(out.count, 0)
	case s.End != nil:
		end, err := number("end", s.End.String())
		if err != nil {
			return nil, err
		}
		if out.count = end - out.Start + 1; out.Start > end {
			out.count, out.Down = out.Start-end+1, true
		}
	default:
		return nil, fmt.Errorf("withSequence needs count or end")
	}
	if out.Format, err = expr.Substitute(s.Format, scope, expr.Strict); err != nil {
		return nil, fmt.Errorf("resolving withSequence.format: %w", err)
	}
	return out, nil
}

// itemKey is the key of a loop's item: (index:value).
func itemKey(loop Key, i int, item json.RawMessage) Key {
	return loop.Child("(" + strconv.Itoa(i) + ":" + itemLabel(item) + ")")
}

func itemIndex(k Key) int {
	digits, _, _ := strings.Cut(strings.TrimPrefix(k.Segment(), "("), ":")
	i, _ := strconv.Atoi(digits)
	return i
}

// parentheses do not come into names: what stands in them there is the index and the value.
var parentheses = strings.NewReplacer("(", "", ")", "")

// itemLabel is the value as node names show it: a scalar's text, a map's sorted key:value
// pairs, a list's values.
func itemLabel(item json.RawMessage) string {
	var label string
	switch v := decodeItem(item).(type) {
	case string:
		label = v
	case map[string]any:
		pairs := make([]string, 0, len(v))
		for key, value := range v {
			pairs = append(pairs, key+":"+itemText(value))
		}
		slices.Sort(pairs)
		label = strings.Join(pairs, ",")
	case []any:
		values := make([]string, len(v))
		for i := range v {
			values[i] = itemText(v[i])
		}
		label = "[" + strings.Join(values, " ") + "]"
	}
	if !strings.ContainsAny(label, "()") {
		return label
	}
	return parentheses.Replace(label)
}

// decodeItem gives a loop value the form that templates see: scalars are text.
func decodeItem(item json.RawMessage) any {
	if n := len(item); n >= 2 && item[0] == '"' && bytes.IndexByte(item, '\\') < 0 && utf8.Valid(item) {
		return string(item[1 : n-1])
	}
	d := json.NewDecoder(bytes.NewReader(item))
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

// itemText is a value as text: JSON, without quotes for a string.
func itemText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case nil:
		return "null"
	case json.Number:
		return v.String()
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if e.Encode(v) != nil {
		return ""
	}
	return strings.TrimSuffix(text.String(), "\n")
}
