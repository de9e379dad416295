package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"argosy/server/client"
)

// connFlags say which server a command talks to, and as whom.
type connFlags struct {
	server, token, namespace string
}

func (c *connFlags) register(f *pflag.FlagSet) {
	f.StringVarP(&c.server, "argosy-server", "s", "", "server's address, host:port or URL (env ARGOSY_SERVER, ARGO_SERVER; default localhost:2746)")
	f.StringVar(&c.token, "token", "", "bearer token (env ARGOSY_TOKEN, ARGO_TOKEN)")
	f.StringVarP(&c.namespace, "namespace", "n", "", `namespace (env ARGOSY_NAMESPACE, ARGO_NAMESPACE; default "default")`)
}

// ns is the namespace to work in.
func (a *app) ns() string {
	switch {
	case a.conn.namespace != "":
		return a.conn.namespace
	case a.env1("ARGOSY_NAMESPACE", "ARGO_NAMESPACE") != "":
		return a.env1("ARGOSY_NAMESPACE", "ARGO_NAMESPACE")
	}
	return "default"
}

// client connects to the server that flags and environment name. An ARGO_SERVER without a
// scheme is https unless ARGO_SECURE=false, which is Argo's rule; ours are plain http.
func (a *app) client() (*client.Client, error) {
	addr := a.conn.server
	if addr == "" {
		addr = a.env("ARGOSY_SERVER")
	}
	if addr == "" {
		if addr = a.env("ARGO_SERVER"); addr != "" && !strings.Contains(addr, "://") {
			secure, err := strconv.ParseBool(a.env("ARGO_SECURE"))
			if secure || err != nil {
				addr = "https://" + addr
			}
			addr += a.env("ARGO_BASE_HREF")
		}
	}
	if addr == "" {
		addr = "localhost:2746"
	}
	token := a.conn.token
	if token == "" {
		token = a.env1("ARGOSY_TOKEN", "ARGO_TOKEN")
	}
	c, err := client.New(addr, token)
	if err != nil {
		return nil, usagef("%w", err)
	}
	c.Trace = a.trace()
	return c, nil
}

// trace is the one that a command is part of, as its environment says, as headers of its calls.
func (a *app) trace() map[string]string {
	headers := map[string]string{}
	for header, variable := range map[string]string{"Traceparent": "TRACEPARENT", "Tracestate": "TRACESTATE"} {
		if v := a.env(variable); v != "" {
			headers[header] = v
		}
	}
	return headers
}

const defaultRedis = "redis://localhost:6379/0"

// redisFlags say where the runs live.
type redisFlags struct {
	url string
}

func (r *redisFlags) register(f *pflag.FlagSet) {
	f.StringVar(&r.url, "redis-url", envOr("ARGOSY_REDIS_URL", defaultRedis), "Redis that holds the runs: redis://[user:password@]host:port[/db], unix:///path, redis+cluster://host:port,host:port or redis+sentinel://host:port,host:port/master[/db]; rediss for TLS (env ARGOSY_REDIS_URL)")
}

// s3Flags say where artifacts live. Keys come from the environment only: a command line
// can be read by every process of the machine.
type s3Flags struct {
	endpoint, bucket, region string
	accessKey, secretKey     string
	insecure                 bool
}

func (s *s3Flags) register(f *pflag.FlagSet) {
	f.StringVar(&s.endpoint, "s3-endpoint", envOr("ARGOSY_S3_ENDPOINT", ""), "S3 or MinIO server, host:port (env ARGOSY_S3_ENDPOINT)")
	f.StringVar(&s.bucket, "s3-bucket", envOr("ARGOSY_S3_BUCKET", "argosy"), "bucket for artifacts (env ARGOSY_S3_BUCKET)")
	f.StringVar(&s.region, "s3-region", envOr("ARGOSY_S3_REGION", ""), "region of the bucket (env ARGOSY_S3_REGION)")
	f.BoolVar(&s.insecure, "s3-insecure", envOr("ARGOSY_S3_INSECURE", "") == "true", "plain http to the store (env ARGOSY_S3_INSECURE)")
	s.accessKey, s.secretKey = os.Getenv("ARGOSY_S3_ACCESS_KEY"), os.Getenv("ARGOSY_S3_SECRET_KEY")
}

// logFlags say how a role logs.
type logFlags struct {
	level, format string
}

func (l *logFlags) register(f *pflag.FlagSet) {
	f.StringVar(&l.level, "log-level", envOr("ARGOSY_LOG_LEVEL", "info"), "debug, info, warn or error (env ARGOSY_LOG_LEVEL)")
	f.StringVar(&l.format, "log-format", envOr("ARGOSY_LOG_FORMAT", "json"), "json or text (env ARGOSY_LOG_FORMAT)")
}

// logger makes the logger that the flags describe.
func (l *logFlags) logger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.level)); err != nil {
		return nil, usagef("--log-level: %w", err)
	}
	o := &slog.HandlerOptions{Level: level}
	switch l.format {
	case "json":
		return slog.New(slog.NewJSONHandler(w, o)), nil
	case "text":
		return slog.New(slog.NewTextHandler(w, o)), nil
	}
	return nil, usagef("--log-format: %q is neither json nor text", l.format)
}

// envOr is a flag's default: the environment variable, or else the given one.
func envOr(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}

// checkChoice refuses a flag value that is not one of the choices.
func checkChoice(flag, value string, choices ...string) error {
	for _, c := range choices {
		if value == c {
			return nil
		}
	}
	return usagef("--%s: %q is not one of %s", flag, value, fmt.Sprint(strings.Join(choices, ", ")))
}
