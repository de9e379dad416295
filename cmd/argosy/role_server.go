package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"argosy/artifacts"
	"argosy/artifacts/plugin"
	"argosy/queue"
	"argosy/server"
	"argosy/tracing"
	"argosy/worker/rpc"
	"argosy/workflow/spec"
)

// serverFlags say where the server listens, and to whom.
type serverFlags struct {
	served    func(*role, *plugin.Plugins) (server.Artifacts, error) // nil: they are not served
	archived  func() (artifacts.Ranged, error)                       // where archived runs are; nil: nobody knows
	addr      string
	tokens    string
	maxQueued int
	webhooks  map[string]string
	defaultsFlag
}

// defaultsFlag names what every workflow has underneath its own.
type defaultsFlag struct {
	file     string
	defaults *spec.Workflow
	restrict string
	plugins  map[string]string
	asked    []string // executor plugins
}

func (f *defaultsFlag) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.file, "workflow-defaults", os.Getenv("ARGOSY_WORKFLOW_DEFAULTS"), "file with the metadata and spec that workflows get where they have none of their own (env ARGOSY_WORKFLOW_DEFAULTS)")
	flags.StringToStringVar(&f.plugins, "artifact-plugin", pluginsFrom(os.Getenv("ARGOSY_ARTIFACT_PLUGINS")), "artifact driver plugins and their unix sockets, as a worker reaches them: name=/path,other=/path; the same for servers, which refuse workflows with others (env ARGOSY_ARTIFACT_PLUGINS)")
	flags.StringArrayVar(&f.asked, "executor-plugin", strings.Fields(os.Getenv("ARGOSY_EXECUTOR_PLUGINS")), "an executor plugin, which carries out plugin templates: name=http://host:port or name=unix:///path, and ,token-file=/path of the token that it knows workers by; once for each, asked in this order; the same for servers, which refuse plugin templates without any (env ARGOSY_EXECUTOR_PLUGINS, with spaces between)")
	flags.StringVar(&f.restrict, "template-referencing", "", "Strict or Secure: only workflows of a WorkflowTemplate are accepted, and with little of their own")
}

// pluginsFrom reads what the flag takes from the environment.
func pluginsFrom(list string) map[string]string {
	plugins := map[string]string{}
	for entry := range strings.SplitSeq(list, ",") {
		if name, socket, ok := strings.Cut(entry, "="); ok {
			plugins[strings.TrimSpace(name)] = strings.TrimSpace(socket)
		}
	}
	return plugins
}

// known are the plugins that there are, to those who refuse workflows that need others.
func (f *defaultsFlag) known() *spec.Plugins {
	return &spec.Plugins{
		Drivers:  func(name string) bool { _, ok := f.plugins[name]; return ok },
		Executor: len(f.asked) > 0,
	}
}

// executorPlugins reads where executor plugins are.
func (f *defaultsFlag) executorPlugins() ([]*rpc.Plugin, error) {
	var plugins []*rpc.Plugin
	for _, text := range f.asked {
		p, err := rpc.Parse(text)
		if err != nil {
			return nil, usagef("--executor-plugin: %w", err)
		}
		plugins = append(plugins, p)
	}
	return plugins, nil
}

func (f *defaultsFlag) read() error {
	if err := checkChoice("template-referencing", f.restrict, spec.Restrictions()...); err != nil {
		return err
	}
	if f.file == "" {
		return nil
	}
	data, err := os.ReadFile(f.file)
	if err == nil {
		f.defaults, err = spec.ParseDefaults(f.file, data)
	}
	if err != nil {
		return usagef("--workflow-defaults: %w", err)
	}
	return nil
}

func (f *serverFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.addr, "addr", envOr("ARGOSY_ADDR", "127.0.0.1:2746"), "address to listen on (env ARGOSY_ADDR)")
	flags.StringVar(&f.tokens, "token-file", os.Getenv("ARGOSY_TOKEN_FILE"), "file of accepted bearer tokens, one a line, each with name=, email= and username= of whose it is, if that is to be known; needed unless the address is loopback (env ARGOSY_TOKEN_FILE)")
	flags.StringToStringVar(&f.webhooks, "webhook-clients", nil, "folders that say whose signatures on events stand for a token, by namespace: namespace=/dir, where a Secret like Argo's argo-workflows-webhook-clients is mounted; a namespace without one has its clients in a Secret of that name that the server was given")
	f.defaultsFlag.register(flags)
	flags.IntVar(&f.maxQueued, "max-queued-runs", 0, "workflows that may be unfinished before no more are accepted; 0 is no bound")
}

func (a *app) server() *cobra.Command {
	var common roleFlags
	var f serverFlags
	var store storeFlags
	f.served = func(r *role, p *plugin.Plugins) (server.Artifacts, error) { return store.served(r, p, false, true) }
	f.archived = store.alone
	cmd := &cobra.Command{
		Use:   "server",
		Short: "Serve the REST API, whose paths and JSON are Argo Server's",
		Args:  cobra.NoArgs,
		Example: examples(
			"argosy server",
			"argosy server --addr :2746 --token-file /etc/argosy/tokens"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := common.open(cmd.Context(), a, "server")
			if err != nil {
				return err
			}
			defer r.close()
			if err := r.watchRoom(cmd.Context()); err != nil {
				return err
			}
			s, err := f.service(r)
			if err != nil {
				return err
			}
			parts, _, err := f.parts(r, s)
			if err != nil {
				return err
			}
			return runParts(cmd.Context(), r.monitor(), parts)
		},
	}
	common.register(cmd.Flags(), "")
	common.registerRoom(cmd.Flags())
	f.register(cmd.Flags())
	store.register(cmd.Flags())
	return cmd
}

// service is what the server's verbs do, with its metrics.
type service struct {
	*server.Service
	metrics *server.Metrics
	plugins *plugin.Plugins
	asked   []*rpc.Plugin
}

func (f *serverFlags) service(r *role) (service, error) {
	if err := f.defaultsFlag.read(); err != nil {
		return service{}, err
	}
	plugins, err := plugin.New(f.plugins, os.Getenv("ARGOSY_ARTIFACT_PLUGIN_DIR"))
	if err != nil {
		return service{}, usagef("--artifact-plugin: %w", err)
	}
	asked, err := f.executorPlugins()
	if err != nil {
		return service{}, err
	}
	var served server.Artifacts
	if f.served != nil {
		if served, err = f.served(r, plugins); err != nil {
			return service{}, err
		}
	}
	var archive server.Archive
	if f.archived != nil {
		store, err := f.archived()
		if err != nil {
			return service{}, err
		}
		archive = newArchivedRuns(r, store)
	}
	m := server.NewMetrics(r.registry)
	return service{metrics: m, plugins: plugins, asked: asked, Service: server.NewService(server.Config{
		MaxQueued: f.maxQueued, Defaults: f.defaults, Restriction: spec.Restriction(f.restrict), Plugins: *f.known(),
		Store: &runStore{Runs: queue.NewRuns(r.conn), conn: r.conn, room: r.room}, Objects: objectStore{queue.NewObjects(r.conn), queue.NewLocks(r.conn)}, Crons: queue.NewCrons(r.conn), Logs: runLogs{queue.NewLogs(r.conn)}, Archive: archive, Artifacts: served, Log: r.log, Metrics: m, Annotations: r.annotations(),
	})}, nil
}

// parts prepares the server, whose address is known on return.
func (f *serverFlags) parts(r *role, s service) (parts []part, addr string, err error) {
	var tokens []server.Token
	if f.tokens != "" {
		file, err := os.Open(f.tokens)
		if err != nil {
			return nil, "", usagef("--token-file: %w", err)
		}
		defer file.Close()
		if tokens, err = server.ReadTokens(file); err != nil {
			return nil, "", usagef("--token-file: %w", err)
		}
	}
	auth := server.NewAuth(tokens)
	if err := auth.RequireLoopback(f.addr); err != nil {
		return nil, "", usagef("--addr: %w", err)
	}
	h := &server.HTTP{
		Service: s.Service, Auth: auth, Log: r.log, Metrics: s.metrics, Gatherer: r.registry, Version: buildInfo(),
		Webhooks: f.webhooks,
	}
	if r.traces != nil {
		h.Traced, h.Route = r.traces.Handler, tracing.Route
	}
	l, err := net.Listen("tcp", f.addr)
	if err != nil {
		return nil, "", &exitError{code: exitServer, err: fmt.Errorf("listening: %w", err)}
	}
	return []part{{"server", func(take, work context.Context) error {
		r.log.Info("serving", "address", l.Addr().String())
		return server.Serve(take, work, l, h.Handler())
	}}, {"events", func(take, work context.Context) error {
		s.ServeEvents(take, work)
		return nil
	}}}, l.Addr().String(), nil
}
