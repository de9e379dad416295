package main

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"argosy/server"
)

// version is set by the linker.
var version string

// buildInfo says what this binary is.
func buildInfo() server.Version {
	v := server.Version{
		Version: version, GoVersion: runtime.Version(), Compiler: runtime.Compiler,
		Platform: runtime.GOOS + "/" + runtime.GOARCH, GitTreeState: "clean",
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	v.Version = cmp.Or(v.Version, info.Main.Version)
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			v.GitCommit = s.Value
		case s.Key == "vcs.time":
			v.BuildDate = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			v.GitTreeState = "dirty"
		}
	}
	return v
}

// version is `argosy version`.
func (a *app) version() *cobra.Command {
	var short bool
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the versions of this command and of the server",
		Long:    "Print the version of this command and, if a server is named by flag or environment, the server's.",
		Example: examples("argosy version", "argosy version --short"),
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := buildInfo()
			if short {
				_, err := fmt.Fprintln(a.out, v.Version)
				return err
			}
			fmt.Fprintf(a.out, "argosy: %s\n  commit: %s (%s)\n  built with: %s\n  platform: %s\n",
				v.Version, cmp.Or(v.GitCommit, "unknown"), v.GitTreeState, v.GoVersion, v.Platform)
			if cmp.Or(a.conn.server, a.env1("ARGOSY_SERVER", "ARGO_SERVER")) == "" {
				return nil
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), 10*time.Second)
			defer cancel()
			s, err := c.Version(ctx)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.out, "server: %s at %s\n", s.Version, c.Address())
			return err
		},
	}
	cmd.Flags().BoolVar(&short, "short", false, "only the version of this command")
	return cmd
}
