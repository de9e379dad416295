package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"argosy/server/client"
	"argosy/workflow/spec"
)

const (
	chaosItems = 10_000
	// chaosLimit is when a run that goes on is taken for wedged, once nothing is killed any
	// more.
	chaosLimit = 5 * time.Minute
	// chaosFaults is how long processes are killed in one round at most.
	chaosFaults = time.Minute
)

// chaosText loops over items that each return their number: one half go to workers in chunks,
// the other, which are sub-workflows, one by one. Some more leave an artifact. The last steps
// add all numbers up: an item that was lost, or counted twice, shows in the sum.
const chaosText = `
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: %[1]s}
spec:
  entrypoint: main
  templates:
  - name: main
    steps:
    - - {name: item, template: item, withSequence: {count: "%[2]d"}, arguments: {parameters: [{name: i, value: "{{item}}"}]}}
      - {name: alone, template: alone, withSequence: {start: "%[2]d", count: "%[2]d"}, arguments: {parameters: [{name: i, value: "{{item}}"}]}}
      - {name: file, template: file, withSequence: {count: "20"}, arguments: {parameters: [{name: i, value: "{{item}}"}]}}
    - - name: sum
        template: sum
        arguments: {parameters: [{name: all, value: "{{steps.item.outputs.parameters.i}} {{steps.alone.outputs.parameters.i}}"}]}
    outputs: {parameters: [{name: total, valueFrom: {parameter: "{{steps.sum.outputs.result}}"}}]}
  - name: alone
    inputs: {parameters: [{name: i}]}
    steps:
    - - {name: item, template: item, arguments: {parameters: [{name: i, value: "{{inputs.parameters.i}}"}]}}
    outputs: {parameters: [{name: i, valueFrom: {parameter: "{{steps.item.outputs.parameters.i}}"}}]}
  - name: item
    inputs: {parameters: [{name: i}]}
    outputs: {parameters: [{name: i, valueFrom: {path: /tmp/i}}]}
    container: {image: busybox, command: [sh, -c, "echo {{inputs.parameters.i}} > /tmp/i"]}
  - name: file
    inputs: {parameters: [{name: i}]}
    outputs: {artifacts: [{name: f, path: /tmp/f}]}
    container: {image: busybox, command: [sh, -c, "sleep 0.2; echo {{inputs.parameters.i}} > /tmp/f"]}
  - name: sum
    inputs: {parameters: [{name: all}]}
    script:
      image: busybox
      command: [awk, "BEGIN { RS = \"[^0-9]+\" } /[0-9]/ { n++; s += $1 } END { printf \"%%d %%d\", n, s }"]
      source: "{{inputs.parameters.all}}"
`

// chaos runs rounds of one large run each, while any process, Redis and MinIO among them, is
// killed with -9 and started again, at random.
func chaos(ctx context.Context, b bench) (m measurement, err error) {
	random := rand.New(rand.NewPCG(b.seed, 0))
	var samples []time.Duration
	kills, right := 0, 0
	var quiet time.Duration
	for round := range b.n + 1 {
		faults := chaosFaults
		if round == 0 {
			faults = 0 // the same without any, to compare with
		}
		took, killed, err := chaosRound(ctx, b, fmt.Sprintf("chaos-%d-%d", b.seed, round), faults, random)
		if ctx.Err() != nil {
			return m, ctx.Err()
		}
		fmt.Fprintf(b.log, "   round %d: %d items, %d processes killed, in %v\n", round, chaosItems, killed, took.Round(time.Millisecond))
		switch {
		case err != nil && round == 0:
			return m, err
		case err != nil:
			fmt.Fprintf(b.log, "   round %d WENT WRONG: %v\n", round, err)
		case round == 0:
			quiet = took
		default:
			right++
			samples = append(samples, took)
		}
		kills += killed
	}
	return measurement{
		value: float64(right), target: float64(b.n), samples: inSeconds(samples),
		peers: []peer{{Name: "rounds", Value: float64(b.n), Unit: " rounds"}},
		notes: map[string]float64{"items": chaosItems, "kills": float64(kills), "seconds without kills": quiet.Seconds()},
	}, nil
}

// chaosRound takes one run to its end and checks what came of it.
func chaosRound(ctx context.Context, b bench, name string, faults time.Duration, random *rand.Rand) (took time.Duration, kills int, err error) {
	f, err := startChaos(ctx, b)
	if err != nil {
		return 0, 0, err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w\n%s", err, f.logs())
		}
		err = errors.Join(err, f.stop())
	}()
	wf, err := parse(fmt.Sprintf(chaosText, name, chaosItems/2))
	if err != nil {
		return 0, 0, err
	}
	if _, err := f.client.Submit(ctx, namespace, wf, false); err != nil {
		return 0, 0, fmt.Errorf("submitting: %w", err)
	}
	start := time.Now()
	for time.Since(start) < faults {
		if err := pause(ctx, time.Duration(500+random.IntN(2500))*time.Millisecond); err != nil {
			return 0, kills, err
		}
		if end, _ := f.phase(ctx, name); end.Completed() {
			break
		}
		if err := f.killOne(ctx, random); err != nil {
			return 0, kills, err
		}
		kills++
	}
	deadline := time.Now().Add(chaosLimit)
	for {
		end, err := f.phase(ctx, name)
		if end.Completed() {
			took = time.Since(start)
			return took, kills, f.checkChaos(ctx, name, chaosItems)
		}
		if time.Now().After(deadline) {
			return time.Since(start), kills, fmt.Errorf("the run is wedged: it is %q (%w)", end, err)
		}
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			return 0, kills, err
		}
	}
}

// startChaos starts two of every role that may have two, on a MinIO.
func startChaos(ctx context.Context, b bench) (*fleet, error) {
	f, err := startFleet(ctx, b, "process")
	if err != nil {
		return nil, err
	}
	if err := f.addChaos(); err != nil {
		return nil, errors.Join(err, f.stop())
	}
	return f, nil
}

func (f *fleet) addChaos() error {
	minio, err := minioServer()
	if err != nil {
		return err
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	env := []string{"MINIO_ROOT_USER=chaos", "MINIO_ROOT_PASSWORD=chaos-secret", "HOME=" + f.dir, "MINIO_BROWSER=off"}
	if err := f.startWith("minio", env, minio, "server", "--quiet", "--address", address, filepath.Join(f.dir, "minio")); err != nil {
		return err
	}
	// The worker that startFleet made has a directory store: this fleet's have the MinIO.
	worker := f.find("worker")
	worker.end(syscall.SIGTERM)
	f.processes = slices.DeleteFunc(f.processes, func(p *process) bool { return p == worker })
	keys := []string{"ARGOSY_S3_ACCESS_KEY=chaos", "ARGOSY_S3_SECRET_KEY=chaos-secret"}
	coordinator := f.find("coordinator")
	if err := f.startWith("coordinator-2", nil, coordinator.cmd.Path, "coordinator", "--redis-url", "redis://"+f.redis, "--metrics-addr", "", "--log-level", "warn"); err != nil {
		return err
	}
	for _, name := range []string{"worker-1", "worker-2"} {
		err := f.startWith(name, keys, coordinator.cmd.Path, "worker", "--redis-url", "redis://"+f.redis, "--metrics-addr", "", "--log-level", "warn",
			"--grace", "1s", "--s3-endpoint", address, "--s3-insecure")
		if err != nil {
			return err
		}
	}
	return nil
}

// minioServer finds the server that `make deps` builds.
func minioServer() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding the cache: %w", err)
	}
	for _, pattern := range []string{"*/minio", "*/bin/minio"} {
		if found, err := filepath.Glob(filepath.Join(cache, "argosy", "minio", pattern)); err == nil && len(found) > 0 {
			return slices.Max(found), nil
		}
	}
	return "", errors.New("there is no MinIO server: run make deps")
}

func (f *fleet) find(name string) *process {
	return f.processes[slices.IndexFunc(f.processes, func(p *process) bool { return p.name == name })]
}

// killOne kills a random process and starts it again after a while.
func (f *fleet) killOne(ctx context.Context, random *rand.Rand) error {
	i := random.IntN(len(f.processes))
	p := f.processes[i]
	p.end(syscall.SIGKILL)
	if err := pause(ctx, time.Duration(random.IntN(1500))*time.Millisecond); err != nil {
		return err
	}
	again, err := p.again()
	if err != nil {
		return err
	}
	f.processes[i] = again
	return nil
}

// phase is a run's phase as the list has it, which reads no nodes.
func (f *fleet) phase(ctx context.Context, name string) (spec.WorkflowPhase, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	wf, err := f.client.Get(ctx, namespace, name, "status.phase")
	if err != nil {
		return "", err
	}
	return wf.Status.Phase, nil
}

// checkChaos checks that every item ran and was counted once.
func (f *fleet) checkChaos(ctx context.Context, name string, items int) error {
	wf, err := f.client.Get(ctx, namespace, name, "")
	if err != nil {
		return fmt.Errorf("reading the run: %w", err)
	}
	s := &wf.Status
	if s.Phase != spec.WorkflowSucceeded {
		return fmt.Errorf("the run ended as %s: %s", s.Phase, s.Message)
	}
	want := fmt.Sprintf("%d %d", items, items*(items-1)/2)
	if out := s.Nodes[wf.Name].Outputs; out == nil || len(out.Parameters) != 1 || out.Parameters[0].GetValue() != want {
		return fmt.Errorf("the items do not add up: %+v instead of %q", out, want)
	}
	leaves, o := 0, client.NodeOptions{Limit: 1000}
	for more := true; more; more = o.Continue != "" {
		page, err := f.client.Nodes(ctx, namespace, name, o)
		if err != nil {
			return fmt.Errorf("reading the run's nodes: %w", err)
		}
		for i := range page.Items {
			if page.Items[i].Type == spec.NodeTypePod {
				leaves++
			}
		}
		o.Continue = page.Continue
	}
	// Items of chunks need not be among the nodes.
	if total := items + 21; leaves != total && leaves != total-items/2 || string(s.Progress) != fmt.Sprintf("%d/%d", total, total) {
		return fmt.Errorf("%d leaves and a progress of %s instead of %d", leaves, s.Progress, total)
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
