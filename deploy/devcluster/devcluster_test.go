//go:build devcluster

// The test of the real thing. It needs root and replaces a cluster that runs:
//
//	go test -tags devcluster -run TestCluster .
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"argosy/deploy/devcluster/internal/cluster"
)

const job = `
apiVersion: batch/v1
kind: Job
metadata: {name: %[1]s}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers:
      - name: main
        image: busybox
        imagePullPolicy: IfNotPresent
        command: [sh, -c, "%[2]s"]
`

const service = `
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  containers:
  - name: main
    image: busybox
    imagePullPolicy: IfNotPresent
    command: [sh, -c, "echo served > /tmp/index.html; exec httpd -f -p 8080 -h /tmp"]
    readinessProbe: {httpGet: {port: 8080}, periodSeconds: 1}
`

// tool is the built program, run as people run it.
type tool struct {
	*testing.T
	path string
}

func build(t *testing.T) tool {
	t.Helper()
	path := filepath.Join(t.TempDir(), "devcluster")
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("building: %v: %s", err, out)
	}
	return tool{t, path}
}

func (t tool) command(args ...string) *exec.Cmd {
	cmd := exec.Command(t.path, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG=")
	return cmd
}

func (t tool) run(stdin string, args ...string) string {
	t.Helper()
	cmd := t.command(args...)
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %v\n%s%s", args, err, &stdout, &stderr)
	}
	return stdout.String()
}

// runJob runs a shell line in a pod and returns what it printed.
func (t tool) runJob(name, line string) string {
	t.Helper()
	t.run(fmt.Sprintf(job, name, line), "kubectl", "apply", "-f", "-")
	t.run("", "kubectl", "wait", "--for=condition=complete", "job/"+name, "--timeout=60s")
	return t.run("", "kubectl", "logs", "job/"+name)
}

// pid finds a program of the node in what status says.
func (t tool) pid(program string) int {
	t.Helper()
	for line := range strings.Lines(t.run("", "status")) {
		if fields := strings.Fields(line); fields[0] == program {
			pid, err := strconv.Atoi(fields[len(fields)-1])
			if err != nil {
				t.Fatal(err)
			}
			return pid
		}
	}
	t.Fatalf("status does not name %s", program)
	return 0
}

func (t tool) node() int {
	t.Helper()
	var id struct{ PID int }
	body, err := os.ReadFile(filepath.Join(cluster.Root, "node.pid"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(body, &id); err != nil {
		t.Fatal(err)
	}
	return id.PID
}

func (t tool) kill(pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// traces lists what of a cluster is to be seen on the host.
func traces(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, "devcluster") || strings.Contains(line, "/netns/") {
			found["mounts"] = append(found["mounts"], line)
		}
	}
	for _, pattern := range []string{
		"/sys/fs/cgroup/argosy*", "/sys/fs/cgroup/*/argosy*", "/run/netns/*", cluster.Root, cluster.Root + ".made",
		"/var/lib/kubelet", "/var/lib/cni", "/run/containerd/s/*",
	} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		found["files"] = append(found["files"], paths...)
	}
	cmdlines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range cmdlines {
		if body, err := os.ReadFile(path); err == nil && bytes.Contains(body, []byte(cluster.Root)) {
			found["processes"] = append(found["processes"], string(bytes.ReplaceAll(body, []byte{0}, []byte{' '})))
		}
	}
	links, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		found["interfaces"] = append(found["interfaces"], link.Name)
	}
	for kind, args := range map[string][]string{
		"rules": {"iptables-save"}, "routes": {"ip", "route"},
	} {
		out, err := exec.Command(args[0], args[1:]...).Output()
		if err != nil {
			t.Fatal(err)
		}
		found[kind] = append(found[kind], string(out))
	}
	return found
}

// TestCluster walks one cluster through its life and through every way to lose it.
func TestCluster(t *testing.T) {
	d := build(t)
	d.run("", "down")
	clean := fmt.Sprint(traces(t))
	assertClean := func(t *testing.T) {
		t.Helper()
		if now := fmt.Sprint(traces(t)); now != clean {
			t.Errorf("something is left:\n%s\nbefore:\n%s", now, clean)
		}
	}
	t.Cleanup(func() { d.command("down").Run() })

	t.Run("two starts at once make one cluster", func(t *testing.T) {
		d := tool{t, d.path}
		other := d.command("up")
		if err := other.Start(); err != nil {
			t.Fatal(err)
		}
		d.run("", "up")
		if err := other.Wait(); err != nil {
			t.Fatal(err)
		}
	})

	t.Run("pods run, find Services by name, and reach MinIO", func(t *testing.T) {
		d := tool{t, d.path}
		d.run(service, "kubectl", "apply", "-f", "-")
		d.run("", "kubectl", "wait", "--for=condition=ready", "pod/web", "--timeout=60s")
		out := d.runJob("hello", "echo hello; nslookup kubernetes.default.svc.cluster.local;"+
			" wget -qO- http://web.default.svc/; wget -qO- http://10.88.0.1:9000/minio/health/live && echo stored")
		for _, want := range []string{"hello\n", "10.96.0.1\n", "served\n", "stored\n"} {
			if !strings.Contains(out, want) {
				t.Errorf("the pod did not print %q:\n%s", want, out)
			}
		}
	})

	t.Run("a healthy cluster is left alone", func(t *testing.T) {
		d := tool{t, d.path}
		before := d.node()
		if out := d.run("", "up"); strings.TrimSpace(out) != cluster.Kubeconfig {
			t.Errorf("up prints %q", out)
		}
		if after := d.node(); after != before {
			t.Errorf("node %d was replaced by %d", before, after)
		}
	})

	losses := []struct {
		name string
		lose func(tool)
	}{
		{"kubelet and containerd killed", func(d tool) {
			kubelet, containerd := d.pid("kubelet"), d.pid("containerd")
			d.kill(kubelet)
			d.kill(containerd)
		}},
		{"node killed", func(d tool) { d.kill(d.node()) }},
		{"pid file lost", func(d tool) {
			if err := os.Remove(filepath.Join(cluster.Root, "node.pid")); err != nil {
				d.Fatal(err)
			}
		}},
		{"state folder lost", func(d tool) {
			for _, name := range []string{"plan.json", "node.pid", "kubeconfig"} {
				if err := os.Remove(filepath.Join(cluster.Root, name)); err != nil {
					d.Fatal(err)
				}
			}
		}},
		{"up killed half way", func(d tool) {
			d.run("", "down")
			up := d.command("up")
			if err := up.Start(); err != nil {
				d.Fatal(err)
			}
			deadline := time.Now().Add(30 * time.Second)
			for started := false; !started; {
				if time.Now().After(deadline) {
					d.Fatal("etcd did not start")
				}
				_, err := os.Stat(filepath.Join(cluster.Root, "log", "etcd.log"))
				started = err == nil
			}
			d.kill(up.Process.Pid)
			up.Wait()
		}},
	}
	for _, loss := range losses {
		t.Run(loss.name, func(t *testing.T) {
			d := tool{t, d.path}
			loss.lose(d)
			if err := d.command("status").Run(); err == nil {
				t.Error("status calls it healthy")
			}
			d.run("", "up")
			if out := d.runJob("again", "echo again"); out != "again\n" {
				t.Errorf("the pod printed %q", out)
			}
		})
	}

	t.Run("down while pods run leaves nothing", func(t *testing.T) {
		d := tool{t, d.path}
		d.run(service, "kubectl", "apply", "-f", "-")
		d.run("", "kubectl", "wait", "--for=condition=ready", "pod/web", "--timeout=60s")
		d.run("", "down")
		assertClean(t)
		d.run("", "down") // nothing to take away is no error
	})

	t.Run("down after the node was killed leaves nothing", func(t *testing.T) {
		d := tool{t, d.path}
		d.run("", "up")
		d.run(service, "kubectl", "apply", "-f", "-")
		d.run("", "kubectl", "wait", "--for=condition=ready", "pod/web", "--timeout=60s")
		d.kill(d.node())
		d.run("", "down")
		assertClean(t)
	})

	t.Run("MinIO alone", func(t *testing.T) {
		d := tool{t, d.path}
		d.run("", "up", "-minio-only")
		if out := d.run("", "env"); strings.Contains(out, "KUBECONFIG") || !strings.Contains(out, "ARGOSY_S3_ENDPOINT") {
			t.Errorf("env prints %s", out)
		}
		d.run("", "status")
		d.run("", "down")
		assertClean(t)
	})

	t.Run("with a kubeconfig given nothing is started", func(t *testing.T) {
		d := tool{t, d.path}
		if out := d.run("", "up", "-kubeconfig", "/somewhere/else"); out != "/somewhere/else\n" {
			t.Errorf("up prints %q", out)
		}
		assertClean(t)
	})
}
