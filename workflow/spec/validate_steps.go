package spec

import "fmt"

func (v *validator) steps(t *Template, path, where string, s *scope) {
	s.kind = "steps"
	done := map[string]*call{}
	names := map[string]bool{}
	for _, group := range t.Steps {
		for i := range group.Steps {
			s.names = append(s.names, group.Steps[i].Name)
		}
	}
	s.visible = func(name string) (*call, bool) { c, ok := done[name]; return c, ok }
	for g, group := range t.Steps {
		for i := range group.Steps {
			step := &group.Steps[i]
			at := fmt.Sprintf("%s.steps[%d][%d]", path, g, i)
			label := fmt.Sprintf("%s.steps[%d].%s", where, g, step.Name)
			switch {
			case step.Name == "":
				v.fail(at, "%s.steps[%d] name is required", where, g)
			case names[step.Name]:
				v.fail(at+".name", "%s name '%s' is not unique", label, step.Name)
			default:
				v.fieldName(at+".name", step.Name)
			}
			names[step.Name] = true
			c := stepCall(step, at, label)
			c.callee = v.resolve(at, label, c.template, c.inline, c.ref)
			v.call(c, s)
			done[c.name] = c // Argo lets a member of a group name those that are written before it
		}
	}
}
