package spec

import (
	"bytes"
	"encoding/json"
)

// Object is a free-form JSON object.
type Object struct {
	Value json.RawMessage `json:"-"`
}

// MarshalJSON writes the object.
func (o Object) MarshalJSON() ([]byte, error) {
	if len(o.Value) == 0 {
		return []byte("null"), nil
	}
	return o.Value, nil
}

// UnmarshalJSON keeps the object's text.
func (o *Object) UnmarshalJSON(data []byte) error {
	o.Value = bytes.Clone(data)
	return nil
}

// Plugin is the free-form body of a plugin template: an object with the plugin's name as its
// one key.
type Plugin struct {
	Object `json:",inline"`
}

// keys counts the keys of the object; 0 for what is none.
func (p *Plugin) keys() int {
	var keys map[string]json.RawMessage
	if json.Unmarshal(p.Value, &keys) != nil {
		return 0
	}
	return len(keys)
}
