package process

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"argosy/worker"
	"argosy/workflow"
	"argosy/workflow/spec"
)

// daemon is the step of a container that serves, and what becomes of it.
type daemon struct {
	step   *worker.Step
	ready  chan workflow.Ready
	cancel context.CancelCauseFunc
	ended  chan error
	result workflow.Result
}

func serve(t *testing.T, e *Executor, c *corev1.Container) *daemon {
	t.Helper()
	yes := true
	d := &daemon{step: newStep(c), ready: make(chan workflow.Ready, 10), ended: make(chan error, 1)}
	d.step.Template.Daemon = &yes
	d.step.Ready = func(_ context.Context, r workflow.Ready) { d.ready <- r }
	ctx, cancel := context.WithCancelCause(t.Context())
	d.cancel = cancel
	go func() {
		var err error
		d.result, err = e.Execute(ctx, d.step)
		d.ended <- err
	}()
	t.Cleanup(func() { cancel(worker.ErrStopped) })
	return d
}

// freePort is one that nobody listens at, for now.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().(*net.TCPAddr).Port
}

const httpServer = `mkdir -p /tmp/www; cd /tmp/www; touch ok; exec python3 -m http.server --bind 127.0.0.1 PORT`

func TestADaemonIsReadyWhenItsProbePasses(t *testing.T) {
	t.Parallel()
	e := newExecutor(t, Config{Grace: 200 * time.Millisecond})
	for name, tt := range map[string]struct {
		script string
		probe  func(port int) *corev1.Probe
	}{
		"none": {"exec sleep 1000", func(int) *corev1.Probe { return nil }},
		"exec, among its files": {"sleep 0.3; touch /tmp/up; exec sleep 1000", func(int) *corev1.Probe {
			return &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"test", "-e", "/tmp/up"}}}}
		}},
		"httpGet": {httpServer, func(port int) *corev1.Probe {
			return &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/ok?x=1", Port: intstr.FromInt(port)}}, TimeoutSeconds: 20}
		}},
		"httpGet at a port with a name": {httpServer, func(int) *corev1.Probe {
			return &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "ok", Port: intstr.FromString("web")}}, TimeoutSeconds: 20}
		}},
		"tcpSocket": {httpServer, func(port int) *corev1.Probe {
			return &corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromString(strconv.Itoa(port))}}, SuccessThreshold: 2}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			port := freePort(t)
			c := container(strings.ReplaceAll(tt.script, "PORT", strconv.Itoa(port)))
			c.Ports = []corev1.ContainerPort{{Name: "web", ContainerPort: int32(port)}}
			if c.ReadinessProbe = tt.probe(port); c.ReadinessProbe != nil {
				c.ReadinessProbe.PeriodSeconds = 1
			}
			d := serve(t, e, c)
			select {
			case r := <-d.ready:
				require.Equal(t, "127.0.0.1", r.Address)
				require.NotEmpty(t, r.Host)
				require.NotZero(t, r.Started)
			case err := <-d.ended:
				require.Fail(t, "it ended", "%v, log: %s", err, d.step.Log)
			}
			d.cancel(worker.ErrStopped)
			require.ErrorIs(t, <-d.ended, worker.ErrStopped)
			require.Empty(t, d.ready, "it is told once")
		})
	}
}

func TestADaemonIsNotReady(t *testing.T) {
	t.Parallel()
	e := newExecutor(t, Config{Grace: 200 * time.Millisecond})
	exec := func(script string) *corev1.Probe {
		return &corev1.Probe{PeriodSeconds: 1, ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"sh", "-c", script}}}}
	}
	late := exec("true")
	late.InitialDelaySeconds = 3600
	for name, tt := range map[string]struct {
		script string
		probe  *corev1.Probe
		code   int
	}{
		"before its time":                {"sleep 0.3; exit 7", late, 7},
		"while its probe fails":          {"sleep 1.3; exit 7", exec("exit 1"), 7},
		"while its probe takes too long": {"sleep 2.3; exit 7", exec("sleep 1000"), 7},
		"before it has started":          {"", nil, worker.StartExitCode},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := container(tt.script)
			if tt.script == "" {
				c.Command = []string{"no-such-program"}
			}
			c.ReadinessProbe = tt.probe
			d := serve(t, e, c)
			require.NoError(t, <-d.ended)
			require.Equal(t, tt.code, *d.result.Outputs.ExitCode)
			require.Equal(t, spec.NodeFailed, d.result.Phase)
			require.Empty(t, d.ready)
		})
	}
}

func TestAProbesAnswersAreJudgedAsTheKubeletDoes(t *testing.T) {
	t.Parallel()
	var seen atomic.Value
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen.Store(r.Host + " " + r.Header.Get("X-A"))
		code, _ := strconv.Atoi(strings.Trim(r.URL.Path, "/"))
		if code == 302 {
			w.Header().Set("Location", "/500")
		}
		w.WriteHeader(code)
	}))
	defer server.Close()
	e := newExecutor(t, Config{})
	port := server.Listener.Addr().(*net.TCPAddr).Port
	for code, ready := range map[int]bool{200: true, 204: true, 302: true, 399: true, 400: false, 404: false, 500: false} {
		ask, err := e.readiness(&corev1.Container{ReadinessProbe: &corev1.Probe{TimeoutSeconds: 20, ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{
			Scheme: corev1.URISchemeHTTPS, Path: "/" + strconv.Itoa(code), Port: intstr.FromInt(port),
			HTTPHeaders: []corev1.HTTPHeader{{Name: "host", Value: "my.host"}, {Name: "X-A", Value: "b"}},
		}}}})
		require.NoError(t, err)
		require.Equal(t, ready, ask(t.Context(), nil) == nil, code)
		require.Equal(t, "my.host b", seen.Load())
	}
}
