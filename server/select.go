package server

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
)

// ListOptions choose runs.
type ListOptions struct {
	LabelSelector string
	FieldSelector string
	// Name and NameFilter: NameFilter is Contains, Prefix, Exact or NotEquals, and Name
	// what it applies to. It comes in as the field selector metadata.name, as Argo's does.
	NameFilter     string
	CreatedAfter   time.Time
	FinishedBefore time.Time
	Limit          int // 0 is no limit
	Continue       string
	// Those that started in between; zero is no bound.
	StartedAfter, StartedBefore time.Time
	// Nodes asks for the runs' nodes too.
	Nodes bool
}

// selection is what ListOptions mean.
type selection struct {
	labels         labels.Selector
	names          []nameRule
	namespaces     []nameRule
	phases         []nameRule
	createdAfter   time.Time
	finishedBefore time.Time
	startedAfter   time.Time
	startedBefore  time.Time
}

type nameRule struct {
	how, value string
}

func (r nameRule) matches(s string) bool {
	switch r.how {
	case "Contains":
		return strings.Contains(s, r.value)
	case "Prefix":
		return strings.HasPrefix(s, r.value)
	case "NotEquals":
		return s != r.value
	}
	return s == r.value
}

func (o ListOptions) selection() (*selection, error) {
	sel := &selection{labels: labels.Everything(), createdAfter: o.CreatedAfter, finishedBefore: o.FinishedBefore, startedAfter: o.StartedAfter, startedBefore: o.StartedBefore}
	if o.LabelSelector != "" {
		parsed, err := labels.Parse(o.LabelSelector)
		if err != nil {
			return nil, errorf(CodeInvalid, "unable to parse the label selector %q: %v", o.LabelSelector, err)
		}
		sel.labels = parsed
	}
	switch o.NameFilter {
	case "", "Contains", "Prefix", "Exact", "NotEquals":
	default:
		return nil, errorf(CodeInvalid, "nameFilter %q is none of Contains, Prefix, Exact, NotEquals", o.NameFilter)
	}
	parsed, err := fields.ParseSelector(o.FieldSelector)
	if err != nil {
		return nil, errorf(CodeInvalid, "unable to parse the field selector %q: %v", o.FieldSelector, err)
	}
	for _, r := range parsed.Requirements() {
		rule := nameRule{how: "Exact", value: r.Value}
		if r.Operator == "!=" {
			rule.how = "NotEquals"
		}
		switch r.Field {
		case "metadata.name":
			if o.NameFilter != "" && rule.how == "Exact" {
				rule.how = o.NameFilter
			}
			sel.names = append(sel.names, rule)
		case "metadata.namespace":
			sel.namespaces = append(sel.namespaces, rule)
		case "status.phase":
			sel.phases = append(sel.phases, rule)
		default:
			return nil, errorf(CodeInvalid, "field label not supported: %s", r.Field)
		}
	}
	return sel, nil
}

// exactName is the one name that the selection can match, if it can match only one.
func (s *selection) exactName() (string, bool) {
	for _, r := range s.names {
		if r.how == "Exact" {
			return r.value, true
		}
	}
	return "", false
}

// matchesObject is matches for a stored object.
func (s *selection) matchesObject(o *Stored, set labels.Set) bool {
	for _, r := range s.names {
		if !r.matches(o.Name) {
			return false
		}
	}
	for _, r := range s.namespaces {
		if !r.matches(o.Namespace) {
			return false
		}
	}
	return s.labels.Matches(set)
}

func (s *selection) matches(r *Record) bool {
	all := labelsOf(r)
	for _, c := range []struct {
		rules []nameRule
		value string
	}{{s.names, r.Run.Name}, {s.namespaces, r.Run.Namespace}, {s.phases, all[labelPhase]}} {
		for _, rule := range c.rules {
			if !rule.matches(c.value) {
				return false
			}
		}
	}
	if !s.createdAfter.IsZero() && !r.Run.Created.Time().After(s.createdAfter) {
		return false
	}
	if !s.finishedBefore.IsZero() && (r.State.Finished == 0 || !r.State.Finished.Time().Before(s.finishedBefore)) {
		return false
	}
	if started := r.State.Started.Time(); !s.startedAfter.IsZero() && !started.After(s.startedAfter) || !s.startedBefore.IsZero() && !started.Before(s.startedBefore) {
		return false
	}
	return s.labels.Matches(labels.Set(all))
}

// listOptions reads the query of a list or watch.
func listOptions(q url.Values) (ListOptions, error) {
	o := ListOptions{
		LabelSelector: q.Get("listOptions.labelSelector"),
		FieldSelector: q.Get("listOptions.fieldSelector"),
		Continue:      q.Get("listOptions.continue"),
		NameFilter:    q.Get("nameFilter"),
	}
	if s := q.Get("listOptions.limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 {
			return o, errorf(CodeInvalid, "listOptions.limit: %q is not a number of items", s)
		}
		o.Limit = n
	}
	for name, into := range map[string]*time.Time{"createdAfter": &o.CreatedAfter, "finishedBefore": &o.FinishedBefore} {
		if s := q.Get(name); s != "" {
			t, err := time.Parse(time.RFC3339, s)
			if err != nil {
				return o, errorf(CodeInvalid, "%s: %q is not an RFC 3339 time", name, s)
			}
			*into = t
		}
	}
	return o, nil
}
