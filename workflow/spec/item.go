package spec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sort"
	"strconv"
)

// Item is one element of a loop: a string, number, boolean, map or list. It keeps its JSON,
// compact and with sorted keys, so that equal items are equal bytes.
type Item struct {
	Value json.RawMessage `json:"-"`
}

// ItemType is the JSON type of an Item.
type ItemType string

// The types of an Item.
const (
	ItemString ItemType = "String"
	ItemNumber ItemType = "Number"
	ItemBool   ItemType = "Bool"
	ItemMap    ItemType = "Map"
	ItemList   ItemType = "List"
	ItemNull   ItemType = "Null"
)

// ParseItem reads one JSON value.
func ParseItem(data string) (Item, error) {
	var i Item
	err := json.Unmarshal([]byte(data), &i)
	return i, err
}

// ParseItems reads a JSON list, as withParam gives it.
func ParseItems(data string) ([]Item, error) {
	var items []Item
	if err := json.Unmarshal([]byte(data), &items); err != nil {
		return nil, fmt.Errorf("withParam value could not be parsed as a JSON list: %s: %w", data, err)
	}
	return items, nil
}

// MarshalJSON writes the value.
func (i Item) MarshalJSON() ([]byte, error) {
	if len(i.Value) == 0 {
		return []byte("null"), nil
	}
	return i.Value, nil
}

// UnmarshalJSON reads the value.
func (i *Item) UnmarshalJSON(data []byte) error {
	data = bytes.TrimSpace(data)
	if len(data) > 0 && data[0] != '{' && data[0] != '[' {
		i.Value = bytes.Clone(data)
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return fmt.Errorf("reading item: %w", err)
	}
	text, err := compactJSON(v)
	i.Value = text
	return err
}

// Type returns the item's JSON type.
func (i Item) Type() ItemType {
	if len(i.Value) == 0 {
		return ItemNull
	}
	switch i.Value[0] {
	case '"':
		return ItemString
	case '{':
		return ItemMap
	case '[':
		return ItemList
	case 't', 'f':
		return ItemBool
	case 'n':
		return ItemNull
	}
	return ItemNumber
}

// String returns what {{item}} is replaced by: the bare text of a scalar, the JSON of a map
// or list.
func (i Item) String() string {
	switch i.Type() {
	case ItemMap, ItemList, ItemNull:
		return string(i.Value)
	}
	text, err := scalarText(i.Value)
	if err != nil {
		return string(i.Value)
	}
	return text
}

// Map returns the fields of a map item.
func (i Item) Map() (map[string]Item, error) {
	var m map[string]Item
	if err := json.Unmarshal(i.Value, &m); err != nil {
		return nil, fmt.Errorf("reading item as a map: %w", err)
	}
	return m, nil
}

// List returns the elements of a list item.
func (i Item) List() ([]Item, error) {
	var l []Item
	if err := json.Unmarshal(i.Value, &l); err != nil {
		return nil, fmt.Errorf("reading item as a list: %w", err)
	}
	return l, nil
}

// Keys returns the sorted keys of a map item, nil for others.
func (i Item) Keys() []string {
	if i.Type() != ItemMap {
		return nil
	}
	m, err := i.Map()
	if err != nil {
		return nil
	}
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

// hasElement says that a list item has the element that {{item.[N]}} names.
func (i Item) hasElement(field string) bool {
	if i.Type() != ItemList || len(field) < 3 || field[0] != '[' || field[len(field)-1] != ']' {
		return false
	}
	n, err := strconv.Atoi(field[1 : len(field)-1])
	list, listErr := i.List()
	return err == nil && listErr == nil && n >= 0 && n < len(list)
}

// compactJSON writes v without blanks, with sorted keys and without escaping <, > and &.
func compactJSON(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("writing JSON: %w", err)
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}
