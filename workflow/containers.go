package workflow

import (
	"slices"

	"argosy/workflow/spec"
)

// containerSet is what a leaf runs, if that is a set of containers.
func (p *Plan) containerSet(n *Node) *spec.ContainerSetTemplate {
	if t := p.templates[n.Template]; t != nil && n.Type == spec.NodeTypePod {
		return t.ContainerSet
	}
	return nil
}

// containers renders a node for each container of a set, hanging from those that it waits for.
// Until the set has ended they are as their pod is. It returns those that hang from the pod,
// and those that nothing hangs from.
func (r *renderer) containers(n *Node, set *spec.ContainerSetTemplate, pod *spec.NodeStatus) (first, last []string) {
	name := func(c string) string { return pod.Name + "." + c }
	needed := map[string]bool{}
	for i := range set.Containers {
		c := &set.Containers[i]
		id := NodeID(r.v.Run.Name, name(c.Name))
		ns := spec.NodeStatus{
			ID: id, Name: name(c.Name), DisplayName: c.Name, Type: spec.NodeTypeContainer, BoundaryID: pod.ID,
			TemplateName: pod.TemplateName, TemplateRef: pod.TemplateRef, TemplateScope: pod.TemplateScope,
			Phase: pod.Phase, StartedAt: pod.StartedAt, FinishedAt: pod.FinishedAt, HostNodeName: pod.HostNodeName,
		}
		if k := slices.IndexFunc(n.Containers, func(e Container) bool { return e.Name == c.Name }); k >= 0 {
			e := &n.Containers[k]
			ns.Phase, ns.Message, ns.StartedAt, ns.FinishedAt = e.Phase, e.Message, metaTime(e.Started), metaTime(e.Finished)
		}
		for k := range set.Containers {
			if slices.Contains(set.Containers[k].Dependencies, c.Name) {
				ns.Children = append(ns.Children, NodeID(r.v.Run.Name, name(set.Containers[k].Name)))
				needed[c.Name] = true
			}
		}
		if len(c.Dependencies) == 0 {
			first = append(first, id)
		}
		if !needed[c.Name] {
			last = append(last, id)
		}
		r.status.Nodes[id] = ns
	}
	return first, last
}
