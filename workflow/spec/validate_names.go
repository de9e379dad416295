package spec

import (
	"fmt"
	"regexp"
	"strings"

	"argosy/workflow/expr"

	"github.com/robfig/cron/v3"
	"k8s.io/apimachinery/pkg/util/validation"
)

const maxNameLength = 63 // a run's name becomes a label of its pods

var (
	fieldNamePattern = regexp.MustCompile(`^[a-zA-Z0-9][-a-zA-Z0-9]*$`)
	valueNamePattern = regexp.MustCompile(`^[-a-zA-Z0-9_]+$`)
)

func (v *validator) workflowName(name, generateName string) {
	switch {
	case name != "":
		v.objectName(name, maxNameLength)
	case generateName == "" && v.o.Lint:
		v.warn("metadata", "name or generateName is required")
	case generateName == "":
		v.fail("metadata", "name or generateName is required")
	default:
		if problems := validation.IsDNS1123Subdomain(strings.TrimRight(generateName, "-.") + "x"); len(problems) > 0 {
			v.warn("metadata.generateName", "generateName '%s' gives names that Kubernetes refuses: %s", generateName, rule(problems))
		}
	}
}

// storedName checks the name of what is stored: one that is generated has a place where it is
// created, and a file that has none may get it there.
func (v *validator) storedName(name, generateName string, most int) {
	switch {
	case name != "" || generateName == "" && !v.o.Lint:
		v.objectName(name, most)
	case generateName == "":
		v.warn("metadata", "name is required")
	}
}

func (v *validator) objectName(name string, most int) {
	switch problems := validation.IsDNS1123Subdomain(name); {
	case name == "":
		v.fail("metadata", "name is required")
	case len(name) > most:
		v.fail("metadata.name", "name '%s' has %d characters, and %d is the most", shorten(name), len(name), most)
	case len(problems) > 0:
		v.fail("metadata.name", "name '%s' is not valid: %s", name, rule(problems))
	}
}

// fieldName checks the name of a template, step or task.
func (v *validator) fieldName(path, name string) {
	const most = 128
	switch {
	case len(name) > most:
		v.fail(path, "name '%s' has %d characters, and %d is the most", shorten(name), len(name), most)
	case !fieldNamePattern.MatchString(name):
		v.fail(path, "name '%s' is invalid: it must consist of alpha-numeric characters or '-', and must start with an alpha-numeric character (e.g. My-name1-2, 123-NAME)", name)
	}
}

func (v *validator) parameterNames(list []Parameter, path string) {
	v.valueNames(len(list), func(i int) string { return list[i].Name }, path)
}

func (v *validator) artifactNames(list []Artifact, path string) {
	v.valueNames(len(list), func(i int) string { return list[i].Name }, path)
}

// valueNames checks the names of parameters or artifacts.
func (v *validator) valueNames(n int, name func(int) string, path string) {
	seen := map[string]bool{}
	for i := range n {
		name, at := name(i), fmt.Sprintf("%s[%d]", path, i)
		switch {
		case name == "":
			v.fail(at, "the name is missing")
		case seen[name]:
			v.fail(at+".name", "name '%s' is not unique", name)
		case !valueNamePattern.MatchString(name) && !strings.Contains(name, "{{"):
			v.fail(at+".name", "name '%s' is invalid: it must consist of alpha-numeric characters, '_' or '-' (e.g. my_name, MY-NAME, 1-name)", name)
		}
		seen[name] = true
	}
}

func (v *validator) cron(c *CronWorkflowSpec) {
	if len(c.Schedules) == 0 {
		v.fail("spec", "cron workflow must have at least one schedule: schedules is empty")
	}
	for i, s := range c.Schedules {
		if _, err := cron.ParseStandard(s); err != nil {
			v.fail(fmt.Sprintf("spec.schedules[%d]", i), "cron schedule '%s' is malformed: %s", s, err)
		}
	}
	if c.Timezone != "" {
		if _, err := cron.ParseStandard("CRON_TZ=" + c.Timezone + " @daily"); err != nil {
			v.fail("spec.timezone", "invalid timezone '%s'", c.Timezone).Hint = "use a name such as Europe/Berlin"
		}
	}
	switch c.ConcurrencyPolicy {
	case "", AllowConcurrent, ForbidConcurrent, ReplaceConcurrent:
	default:
		v.fail("spec.concurrencyPolicy", "'%s' is not a valid concurrencyPolicy", c.ConcurrencyPolicy).
			Hint = "use Allow, Forbid or Replace"
	}
	if s := c.StartingDeadlineSeconds; s != nil && *s < 0 {
		v.fail("spec.startingDeadlineSeconds", "startingDeadlineSeconds must be positive")
	}
	condition := func(path, text string) {
		if text == "" || strings.Contains(text, "{{") {
			return
		}
		if err := expr.CheckExpression(text); err != nil {
			v.fail(path, "%s", cause(err)) // nobody would see that no run begins
		}
	}
	condition("spec.when", c.When)
	if c.StopStrategy != nil {
		condition("spec.stopStrategy.expression", c.StopStrategy.Expression)
	}
}

// rule returns what Kubernetes says of a bad name, without its example.
func rule(problems []string) string {
	text, _, _ := strings.Cut(problems[0], " (e.g. ")
	return text
}
