package main

import (
	"context"
	"os"

	"github.com/spf13/pflag"

	"argosy/cmd/argosy/internal/kubeevents"
	"argosy/coordinator"
)

// eventFlags say what Kubernetes is told of runs.
type eventFlags struct {
	on      bool
	config  kubeevents.Config
	cluster *clusterFlags
}

func (f *eventFlags) register(flags *pflag.FlagSet) {
	flags.BoolVar(&f.on, "kubernetes-events", os.Getenv("ARGOSY_KUBERNETES_EVENTS") == "true", "tell Kubernetes of runs and nodes that start and end, as events in the run's namespace like Argo's (env ARGOSY_KUBERNETES_EVENTS)")
	flags.BoolVar(&f.config.Workflows, "workflow-events", true, "with --kubernetes-events, tell of runs: Argo's workflowEvents.enabled")
	flags.BoolVar(&f.config.Nodes, "node-events", true, "with --kubernetes-events, tell of nodes, of each loop the first 100 items, and none of a wide one: Argo's nodeEvents.enabled")
	flags.BoolVar(&f.config.AsPods, "node-events-as-pods", false, "make events of nodes about their pods, while those are there: Argo's nodeEvents.sendAsPod")
}

// events are told to Kubernetes; none without --kubernetes-events.
func (f *eventFlags) events(r *role) ([]coordinator.Observer, []part, error) {
	if !f.on {
		return nil, nil, nil
	}
	client, _, err := f.cluster.client()
	if err != nil {
		return nil, nil, err
	}
	e := kubeevents.New(client, f.config, r.registry, r.log)
	return []coordinator.Observer{e}, []part{{"teller of events", func(take, work context.Context) error { return e.Run(take, work) }}}, nil
}
