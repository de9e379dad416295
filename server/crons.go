package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"argosy/workflow/cron"
	"argosy/workflow/spec"
)

// SuspendCron has a CronWorkflow fire no more, or again.
func (s *Service) SuspendCron(ctx context.Context, namespace, name string, suspend bool) (Object, error) {
	k := kindOf(spec.KindCronWorkflow)
	for {
		stored, err := s.objects.Get(ctx, k.Kind, namespace, name)
		if err != nil {
			return nil, k.trouble(err, name)
		}
		o, err := decodeObject(stored.JSON)
		if err != nil {
			return nil, fmt.Errorf("reading %s %q: %w", k.resource, name, err)
		}
		body, ok := o["spec"].(map[string]any)
		if !ok {
			return nil, errorf(CodeInternal, "%s %q has no spec", k.resource, name)
		}
		if delete(body, "suspend"); suspend {
			body["suspend"] = true
		}
		if stored.JSON, err = json.Marshal(o); err != nil {
			return nil, fmt.Errorf("encoding the object: %w", err)
		}
		stored.Version, err = s.objects.Put(ctx, k.Kind, namespace, name, stored.JSON, stored.Version)
		if errors.Is(err, ErrConflict) {
			continue
		}
		if err != nil {
			return nil, k.trouble(err, name)
		}
		s.log.Info("stored", "hop", "submit", "kind", k.Kind, "namespace", namespace, "name", name, "suspend", suspend)
		return s.show(ctx, k, stored)
	}
}

// show is a stored object as clients see it.
func (s *Service) show(ctx context.Context, k ObjectKind, stored *Stored) (Object, error) {
	o, err := k.decode(stored)
	if err != nil {
		return nil, err
	}
	return o, s.addStatus(ctx, k, stored, o, map[string]map[string]*cron.State{})
}

// addStatus adds to a CronWorkflow what became of it. States are by namespace and name, as far
// as they were read.
func (s *Service) addStatus(ctx context.Context, k ObjectKind, stored *Stored, o Object, states map[string]map[string]*cron.State) error {
	if k.Kind != spec.KindCronWorkflow {
		return nil
	}
	known := states[stored.Namespace]
	if known == nil {
		var err error
		if known, err = s.crons.States(ctx, stored.Namespace); err != nil {
			return fmt.Errorf("reading what became of cron workflows: %w", err)
		}
		states[stored.Namespace] = known
	}
	state := known[stored.Name]
	if state == nil || state.UID != o.metadata()["uid"] {
		state = &cron.State{}
	}
	data, err := json.Marshal(state.Status(stored.Namespace))
	if err != nil {
		return fmt.Errorf("encoding a status: %w", err)
	}
	var status map[string]any
	if err := json.Unmarshal(data, &status); err != nil {
		return fmt.Errorf("encoding a status: %w", err)
	}
	o["status"] = status
	if state.Phase == spec.CronWorkflowStopped {
		labels, ok := o.metadata()["labels"].(map[string]any)
		if !ok {
			labels = map[string]any{}
			o.metadata()["labels"] = labels
		}
		labels[cron.LabelCompleted] = "true"
	}
	return nil
}
