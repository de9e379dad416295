package resource

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/itchyny/gojq"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/util/jsonpath"

	"argosy/worker"
	"argosy/workflow"
	"argosy/workflow/spec"
)

// filterTime bounds what a filter may take of the worker.
const filterTime = 2 * time.Second

// outputs reads the parameters from the object; without one they have their defaults.
func outputs(ctx context.Context, of []spec.Parameter, object *unstructured.Unstructured) ([]workflow.Param, error) {
	var out []workflow.Param
	for i := range of {
		p := &of[i]
		value, ok, err := output(ctx, p, object)
		switch {
		case err != nil:
			return nil, refusef("reading output parameter %s: %w", p.Name, err)
		case len(value) > worker.MaxResult:
			return nil, refusef("output parameter %s has %d bytes, over the %d that it may have", p.Name, len(value), worker.MaxResult)
		case ok:
			out = append(out, workflow.Param{Name: p.Name, Value: value, Global: p.GlobalName})
		}
	}
	return out, nil
}

func output(ctx context.Context, p *spec.Parameter, object *unstructured.Unstructured) (value string, ok bool, err error) {
	switch {
	case p.ValueFrom == nil:
		return p.GetValue(), p.Value != nil, nil
	case p.ValueFrom.JSONPath == "" && p.ValueFrom.JQFilter == "":
		return "", false, nil
	case object == nil:
		if p.ValueFrom.Default != nil {
			value = p.ValueFrom.Default.String()
		}
		return value, true, nil
	case p.ValueFrom.JSONPath != "":
		value, err = path(p.ValueFrom.JSONPath, object)
	default:
		value, err = filter(ctx, p.ValueFrom.JQFilter, object)
	}
	if err != nil && p.ValueFrom.Default != nil {
		return p.ValueFrom.Default.String(), true, nil
	}
	return value, err == nil, err
}

// path reads a JSONPath as kubectl does: braces and the first dot may be missing, and what is
// not there is empty.
func path(expression string, object *unstructured.Unstructured) (string, error) {
	if !strings.Contains(expression, "{") {
		expression = "{." + strings.TrimPrefix(strings.TrimPrefix(expression, "$"), ".") + "}"
	}
	j := jsonpath.New("output").AllowMissingKeys(true)
	if err := j.Parse(expression); err != nil {
		return "", fmt.Errorf("parsing jsonPath: %w", err)
	}
	var text bytes.Buffer
	if err := j.Execute(&text, object.Object); err != nil {
		return "", fmt.Errorf("executing jsonPath: %w", err)
	}
	return text.String(), nil
}

// filter reads a jq filter: each result on a line, texts as they are.
func filter(ctx context.Context, expression string, object *unstructured.Unstructured) (string, error) {
	query, err := gojq.Parse(expression)
	if err != nil {
		return "", fmt.Errorf("parsing jqFilter: %w", err)
	}
	data, err := object.MarshalJSON()
	if err != nil {
		return "", err
	}
	var input any
	if err := json.Unmarshal(data, &input); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, filterTime)
	defer cancel()
	var text strings.Builder
	results := query.RunWithContext(ctx, input)
	for {
		v, ok := results.Next()
		if !ok {
			return strings.TrimSpace(text.String()), nil
		}
		switch v := v.(type) {
		case error:
			return "", fmt.Errorf("executing jqFilter: %w", v)
		case string:
			text.WriteString(v)
		default:
			line, err := json.Marshal(v)
			if err != nil {
				return "", err
			}
			text.Write(line)
		}
		if text.WriteString("\n"); text.Len() > worker.MaxResult+1 {
			return "", fmt.Errorf("the results of jqFilter have more than %d bytes", worker.MaxResult)
		}
	}
}
