package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"argosy/server/client"
	"argosy/workflow/spec"
)

// overrideFlags change a workflow before it is submitted.
type overrideFlags struct {
	parameters     []string
	parameterFile  string
	name           string
	generateName   string
	entrypoint     string
	labels         []string
	annotations    []string
	serviceAccount string
	priority       int32
	flags          *pflag.FlagSet // tells whether priority was given
}

func (o *overrideFlags) register(f *pflag.FlagSet) {
	o.flags = f
	f.StringArrayVarP(&o.parameters, "parameter", "p", nil, "argument, name=value; repeat for more")
	f.StringVarP(&o.parameterFile, "parameter-file", "f", "", "arguments as a YAML or JSON map in a file")
	f.StringVar(&o.name, "name", "", "name of the run")
	f.StringVar(&o.generateName, "generate-name", "", "start of the run's name, the rest is generated")
	f.StringVar(&o.entrypoint, "entrypoint", "", "template to start with")
	f.StringSliceVar(&o.labels, "labels", nil, "labels, a=b,c=d")
	f.StringSliceVar(&o.annotations, "annotations", nil, "annotations, a=b,c=d")
	f.StringVar(&o.serviceAccount, "serviceaccount", "", "service account of the run's pods")
	f.Int32Var(&o.priority, "priority", 0, "priority of the run")
}

// override makes the function that changes each workflow.
func (o *overrideFlags) override() (func(*spec.Workflow) error, error) {
	if o.name != "" && o.generateName != "" {
		return nil, usagef("--name and --generate-name exclude each other")
	}
	params, err := o.arguments()
	if err != nil {
		return nil, err
	}
	labels, err := pairs("labels", o.labels)
	if err != nil {
		return nil, err
	}
	annotations, err := pairs("annotations", o.annotations)
	if err != nil {
		return nil, err
	}
	named := false
	return func(wf *spec.Workflow) error {
		if o.name != "" {
			if named {
				return usagef("--name: there is more than one workflow")
			}
			named = true
			wf.Name, wf.GenerateName = o.name, ""
		}
		if o.generateName != "" {
			wf.Name, wf.GenerateName = "", o.generateName
		}
		if o.entrypoint != "" {
			wf.Spec.Entrypoint = o.entrypoint
		}
		if o.serviceAccount != "" {
			wf.Spec.ServiceAccountName = o.serviceAccount
		}
		if o.flags.Changed("priority") {
			wf.Spec.Priority = &o.priority
		}
		wf.Labels = merged(wf.Labels, labels)
		wf.Annotations = merged(wf.Annotations, annotations)
		for _, name := range slices.Sorted(maps.Keys(params)) {
			setArgument(&wf.Spec.Arguments, name, params[name])
		}
		return nil
	}, nil
}

// fromOptions are the same for something stored.
func (o *overrideFlags) fromOptions() (client.FromOptions, error) {
	from := client.FromOptions{
		Name: o.name, GenerateName: o.generateName, EntryPoint: o.entrypoint, ServiceAccount: o.serviceAccount,
		Labels: strings.Join(o.labels, ","), Annotations: strings.Join(o.annotations, ","),
	}
	if o.name != "" && o.generateName != "" {
		return from, usagef("--name and --generate-name exclude each other")
	}
	if o.flags.Changed("priority") {
		from.Priority = &o.priority
	}
	params, err := o.arguments()
	for _, name := range slices.Sorted(maps.Keys(params)) {
		from.Parameters = append(from.Parameters, name+"="+params[name])
	}
	return from, err
}

// setArgument gives a parameter its value; one that the file does not have is added.
func setArgument(args *spec.Arguments, name, value string) {
	p := args.GetParameterByName(name)
	if p == nil {
		args.Parameters = append(args.Parameters, spec.Parameter{Name: name})
		p = &args.Parameters[len(args.Parameters)-1]
	}
	p.Value, p.ValueFrom = spec.AnyStringPtr(value), nil
}

// arguments are those of the file, and those of -p, which win.
func (o *overrideFlags) arguments() (map[string]string, error) {
	params := map[string]string{}
	if o.parameterFile != "" {
		data, err := os.ReadFile(o.parameterFile)
		if err != nil {
			return nil, usagef("--parameter-file: %w", err)
		}
		var values map[string]yaml.Node
		if err := yaml.Unmarshal(data, &values); err != nil {
			return nil, usagef("--parameter-file %s: %w", o.parameterFile, err)
		}
		for name, v := range values {
			if params[name], err = argumentText(&v); err != nil {
				return nil, usagef("--parameter-file %s: %s: %w", o.parameterFile, name, err)
			}
		}
	}
	given, err := pairs("parameter", o.parameters)
	if err != nil {
		return nil, err
	}
	maps.Copy(params, given)
	return params, nil
}

// argumentText is a scalar as it is written; lists and maps are passed as JSON.
func argumentText(v *yaml.Node) (string, error) {
	if v.Kind == yaml.ScalarNode {
		return v.Value, nil
	}
	var value any
	if err := v.Decode(&value); err != nil {
		return "", err
	}
	data, err := json.Marshal(value)
	return string(data), err
}

// pairs reads name=value.
func pairs(flag string, list []string) (map[string]string, error) {
	out := make(map[string]string, len(list))
	for _, s := range list {
		name, value, ok := strings.Cut(s, "=")
		if !ok || name == "" {
			return nil, usagef("--%s: expected name=value, found %q", flag, s)
		}
		out[name] = value
	}
	return out, nil
}

func merged(base, over map[string]string) map[string]string {
	if len(over) == 0 {
		return base
	}
	out := maps.Clone(base)
	if out == nil {
		out = map[string]string{}
	}
	maps.Copy(out, over)
	return out
}

// describe names a workflow that has no name yet.
func describe(wf *spec.Workflow) string {
	if wf.Name != "" {
		return wf.Name
	}
	return fmt.Sprintf("%s...", wf.GenerateName)
}
