package expr

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"
)

// render writes a value as text: what has a text of its own as that text, all
// else as JSON.
func render(value any) (string, error) {
	switch v := value.(type) {
	case string:
		return v, nil
	case []byte:
		return string(v), nil
	case time.Time:
		return v.Format(time.RFC3339Nano), nil
	case fmt.Stringer:
		return v.String(), nil
	}
	return encode(value)
}

// encode writes a value as compact JSON, without the escapes meant for HTML.
func encode(value any) (string, error) {
	var out strings.Builder
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(textKeys(value)); err != nil {
		return "", fmt.Errorf("writing JSON: %w", err)
	}
	return strings.TrimSuffix(out.String(), "\n"), nil
}

// textKeys replaces the map[any]T that groupBy and fromPairs return, which JSON
// cannot express. Callers have charged the value, so that it is finite.
func textKeys(value any) any {
	switch v := value.(type) {
	case nil, string, bool, int, int64, float64, json.Number, json.Marshaler:
		return value
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = textKeys(e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = textKeys(e)
		}
		return out
	}
	r := reflect.ValueOf(value)
	if r.Kind() != reflect.Map || r.Type().Key().Kind() != reflect.Interface {
		return value
	}
	out := make(map[string]any, r.Len())
	for it := r.MapRange(); it.Next(); {
		out[fmt.Sprint(it.Key().Interface())] = textKeys(it.Value().Interface())
	}
	return out
}
