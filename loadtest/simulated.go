package main

import (
	"cmp"
	"context"
	_ "embed" // stages
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// simulatedNodes is how many nodes kwok pretends to have; each takes a hundred pods.
const simulatedNodes = 10

// stalled is how long the ends of pods may pause before that is called a stall.
const stalled = 10 * time.Second

// simulated labels kwok's nodes, and keeps other pods away from them.
const simulated = "argosy.dev/simulated"

// stages is what kwok's nodes and pods do.
//
//go:embed simulated.yaml
var stages []byte

// manyJobs measures a run of n Jobs, nine tenths of them on nodes that kwok simulates and the
// rest on the real one, against as many bare Jobs there. No pod may keep the others waiting, and
// nothing may be left of a run that is deleted.
func manyJobs(ctx context.Context, b bench) (m measurement, err error) {
	err = withCluster(ctx, func(c *cluster) error {
		logs, err := simulatedLogs()
		if err != nil {
			return err
		}
		defer logs.Close()
		away, err := c.simulateNodes(ctx, logs.Listener.Addr().(*net.TCPAddr))
		if err != nil {
			return err
		}
		sh, err := onCluster(c.kubeconfig, manySlots)
		if err == nil {
			err = withFleet(ctx, b, sh, func(f *fleet) error { return c.manyJobs(ctx, b, f, &m) })
		}
		return errors.Join(err, away())
	})
	return m, err
}

func (c *cluster) manyJobs(ctx context.Context, b bench, f *fleet, m *measurement) error {
	bare, err := c.toPodsEnd(ctx, b.n, func() error {
		for i := range b.n {
			j := bareJob(fmt.Sprintf("bare-%d", i), 1, 1)
			if i%10 > 0 {
				j.Spec.Template.Spec.NodeSelector = map[string]string{simulated: "true"}
				j.Spec.Template.Spec.Tolerations = []corev1.Toleration{{Key: simulated, Operator: corev1.TolerationOpExists}}
			}
			if err := c.create(ctx, j); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("bare Jobs: %w", err)
	}
	m.peers = []peer{{Name: "bare Jobs, made one after the other", Value: round(bare.Seconds()), Unit: "s", Samples: inSeconds([]time.Duration{bare})}}
	if err := c.clear(ctx); err != nil {
		return err
	}
	wf, err := named(mixedText(b.n), fmt.Sprintf("many-%d", b.seed))
	if err != nil {
		return err
	}
	pause := c.longestPause(ctx)
	pods, run, err := c.toBothEnds(ctx, f, wf, b.n)
	if err != nil {
		return err
	}
	longest := pause()
	m.value = run.Seconds()
	m.samples = inSeconds([]time.Duration{run})
	m.target = jobTimes * bare.Seconds()
	m.note("s to the last pod's end", pods.Seconds())
	m.note("s without a pod's end, at most", longest.Seconds())
	m.require(longest < stalled, "no pod ended for %v", longest.Round(time.Millisecond))

	start := time.Now()
	if err := f.client.Delete(ctx, namespace, wf.Name, false); err != nil {
		return fmt.Errorf("deleting the run: %w", err)
	}
	left, err := c.left(ctx, 2*time.Minute)
	if err != nil {
		return err
	}
	m.note("s until nothing was left of it", time.Since(start).Seconds())
	m.require(len(left) == 0, "left of the deleted run: %s", strings.Join(left, ", "))
	return nil
}

// mixedText is a run of n steps, the first tenth on the real node and the others on simulated ones.
func mixedText(n int) string {
	return header + fmt.Sprintf(`
  - name: main
    steps:
    - - {name: real, template: step, withSequence: {count: "%d"}, arguments: {parameters: [{name: i, value: "{{item}}"}]}}
      - {name: simulated, template: elsewhere, withSequence: {count: "%d"}}
  - name: elsewhere
    nodeSelector: {argosy.dev/simulated: "true"}
    tolerations: [{key: argosy.dev/simulated, operator: Exists}]
    container: {image: busybox, command: [echo, hello]}
`, n/10, n-n/10) + helloLeaf
}

// simulateNodes starts kwok with nodes of its own, whose logs are at an address; away removes both.
func (c *cluster) simulateNodes(ctx context.Context, logs *net.TCPAddr) (away func() error, err error) {
	path, err := exec.CommandContext(ctx, "bin/devcluster", "kwok-binary").Output()
	if err != nil {
		return nil, fmt.Errorf("finding kwok: %w", err)
	}
	dir, err := os.MkdirTemp("", "argosy-kwok-")
	if err != nil {
		return nil, fmt.Errorf("making a folder: %w", err)
	}
	config := filepath.Join(dir, "stages.yaml")
	if err := os.WriteFile(config, stages, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("writing kwok's stages: %w", err), os.RemoveAll(dir))
	}
	ctx, cancel := context.WithCancel(ctx)
	kwok := exec.CommandContext(ctx, strings.TrimSpace(string(path)), "--kubeconfig", c.kubeconfig, "--config", config,
		"--manage-nodes-with-label-selector", simulated+"=true", "--v", "ERROR")
	if err := kwok.Start(); err != nil {
		cancel()
		return nil, errors.Join(fmt.Errorf("starting kwok: %w", err), os.RemoveAll(dir))
	}
	nodes := c.client.CoreV1().Nodes()
	away = func() error {
		ctx := context.WithoutCancel(ctx)
		err := nodes.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: simulated + "=true"})
		cancel()
		_ = kwok.Wait() // it was killed
		return errors.Join(err, os.RemoveAll(dir))
	}
	room := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("32"), corev1.ResourceMemory: resource.MustParse("256Gi"), corev1.ResourcePods: resource.MustParse("110"),
	}
	for i := range simulatedNodes {
		n := &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("simulated-%d", i), Labels: map[string]string{simulated: "true"}},
			Spec:       corev1.NodeSpec{Taints: []corev1.Taint{{Key: simulated, Value: "true", Effect: corev1.TaintEffectNoSchedule}}},
			Status: corev1.NodeStatus{
				Allocatable: room, Capacity: room,
				Addresses:       []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: logs.IP.String()}},
				DaemonEndpoints: corev1.NodeDaemonEndpoints{KubeletEndpoint: corev1.DaemonEndpoint{Port: int32(logs.Port)}},
			},
		}
		if _, err := nodes.Create(ctx, n, metav1.CreateOptions{}); err != nil {
			return nil, errors.Join(fmt.Errorf("making a simulated node: %w", err), away())
		}
	}
	return away, nil
}

// simulatedLogs is where the API server finds the logs of pods on simulated nodes, which kwok has none
// of: a step is not over before its log was read.
func simulatedLogs() (*httptest.Server, error) {
	host := cmp.Or(os.Getenv("ARGOSY_DEVCLUSTER_HOST"), "127.0.0.1")
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return nil, fmt.Errorf("listening for those who read logs: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "hello")
	})
	server := httptest.NewUnstartedServer(mux)
	server.Listener.Close()
	server.Listener = l
	server.StartTLS()
	return server, nil
}

// longestPause watches for the longest time in which no pod ends, from the first end to the last.
func (c *cluster) longestPause(ctx context.Context) (pause func() time.Duration) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan time.Duration)
	c.mu.Lock()
	seen := c.ended
	c.mu.Unlock()
	go func() {
		var longest time.Duration
		var last time.Time
		for {
			c.mu.Lock()
			ended, changed := c.ended, c.changed
			c.mu.Unlock()
			if now := time.Now(); ended > seen {
				if !last.IsZero() {
					longest = max(longest, now.Sub(last))
				}
				seen, last = ended, now
			}
			select {
			case <-changed:
			case <-ctx.Done():
				done <- longest
				return
			}
		}
	}()
	return func() time.Duration {
		cancel()
		return <-done
	}
}

// left lists what is still there of Argosy in the namespace after some time, if anything is.
func (c *cluster) left(ctx context.Context, patience time.Duration) ([]string, error) {
	end := time.Now().Add(patience)
	for {
		var names []string
		jobs, err := c.client.BatchV1().Jobs(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, fmt.Errorf("looking for what is left: %w", err)
		}
		for _, j := range jobs.Items {
			names = append(names, "job/"+j.Name)
		}
		pods, err := c.client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, fmt.Errorf("looking for what is left: %w", err)
		}
		for _, p := range pods.Items {
			names = append(names, "pod/"+p.Name)
		}
		secrets, err := c.client.CoreV1().Secrets(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, fmt.Errorf("looking for what is left: %w", err)
		}
		for _, s := range secrets.Items {
			names = append(names, "secret/"+s.Name)
		}
		maps, err := c.client.CoreV1().ConfigMaps(namespace).List(ctx, metav1.ListOptions{FieldSelector: "metadata.name!=kube-root-ca.crt"})
		if err != nil {
			return nil, fmt.Errorf("looking for what is left: %w", err)
		}
		for _, m := range maps.Items {
			names = append(names, "configmap/"+m.Name)
		}
		if len(names) == 0 || time.Now().After(end) {
			return names[:min(len(names), 10)], nil
		}
		if err := pause(ctx, 500*time.Millisecond); err != nil {
			return nil, err
		}
	}
}
