package resource

import (
	"fmt"

	"github.com/tidwall/gjson"
	"k8s.io/apimachinery/pkg/labels"

	"argosy/workflow/spec"
)

// conditions end the waiting for an object.
type conditions struct {
	success, failure labels.Requirements
	asked            bool // for one of them at least
}

func parseConditions(t *spec.ResourceTemplate) (*conditions, error) {
	c := &conditions{asked: t.SuccessCondition != "" || t.FailureCondition != ""}
	for _, of := range []struct {
		what, text string
		into       *labels.Requirements
	}{{"success", t.SuccessCondition, &c.success}, {"fail", t.FailureCondition, &c.failure}} {
		selector, err := labels.Parse(of.text)
		if err != nil {
			return nil, refusef("%s condition '%s' failed to parse: %v", of.what, of.text, err)
		}
		*of.into, _ = selector.Requirements()
	}
	return c, nil
}

func (c *conditions) none() bool { return !c.asked }

// hold says that the object is as it should be. The error says that it is as it should not be.
func (c *conditions) hold(object []byte) (bool, error) {
	of := values(object)
	for _, r := range c.failure {
		if r.Matches(of) {
			// As Argo writes it: {status.phase in [Failed Error]}.
			return false, refusef("failure condition '%s' evaluated true", fmt.Sprint(r))
		}
	}
	for _, r := range c.success {
		if !r.Matches(of) {
			return false, nil
		}
	}
	return true, nil
}

// values are an object's, named by gjson paths, as if they were labels.
type values []byte

func (f values) Has(path string) bool   { return gjson.GetBytes(f, path).Exists() }
func (f values) Get(path string) string { return gjson.GetBytes(f, path).String() }

// Lookup is part of labels.Labels.
func (f values) Lookup(path string) (string, bool) {
	r := gjson.GetBytes(f, path)
	return r.String(), r.Exists()
}
