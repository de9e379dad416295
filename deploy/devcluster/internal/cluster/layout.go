// Package cluster runs a one-node Kubernetes and a MinIO server on a bare machine.
//
// Everything lives in one "node": a process with its own process, mount, network and
// IPC namespaces, whose children are the cluster's programs. Ending that one process
// makes the kernel end every program, shim and container in it, and with the last of
// them go all mounts, network namespaces, bridges and iptables rules. What can outlive
// a killed node is little and is named in Sweep: one interface, one cgroup folder, one
// state folder.
//
//	          Up                    everything answers
//	absent ────────▶ starting ──────────────────────────▶ healthy
//	   ▲                │                                    │
//	   │                │ a program ends, time runs out      │ a program ends,
//	   │                ▼                                    ▼ the node is killed
//	   └──────────── broken ◀────────────────────────────────┘
//	 Down, or Up before it starts afresh
package cluster

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// Root holds all state. It is fixed, since addresses and the interface name allow one
// cluster per machine anyhow, and short, since socket paths are limited to 107 bytes.
const Root = "/var/lib/argosy-devcluster"

// Addresses. The node is a network of its own behind a pair of interfaces; pods, host
// and the node's own programs all reach the services by nodeIP.
const (
	nodeName    = "argosy-dev"
	nodeIP      = "10.88.0.1"
	podCIDR     = "10.88.0.0/16"
	serviceCIDR = "10.96.0.0/16"
	serviceIP   = "10.96.0.1" // the kubernetes Service itself
	hostIP      = "10.89.0.1" // this machine, as pods see it
	uplinkIP    = "10.89.0.2"
	hostLink    = "argosy-dev"
	uplink      = "uplink"
	bridge      = "cni0"
)

// Endpoints and test credentials.
const (
	apiServer  = "https://" + nodeIP + ":6443"
	S3Endpoint = nodeIP + ":9000"
	s3Key      = "argosy"
	s3Secret   = "argosy-devcluster"
	s3Bucket   = "argosy"
)

// Environment is what tests need to know besides the kubeconfig.
func Environment() []string {
	return []string{
		"ARGOSY_S3_ENDPOINT=" + S3Endpoint,
		"ARGOSY_S3_ACCESS_KEY=" + s3Key,
		"ARGOSY_S3_SECRET_KEY=" + s3Secret,
		"ARGOSY_S3_BUCKET=" + s3Bucket,
		"ARGOSY_S3_INSECURE=true",
		// Where pods find what a test runs on this machine, outside the node.
		"ARGOSY_DEVCLUSTER_HOST=" + hostIP,
	}
}

// cgroupRoot is the folder that holds the pods' cgroups in every hierarchy.
const cgroupRoot = "/argosy-devcluster"

// marker is in the environment of the node and of every program it starts, so that one
// that was started but not yet written down can be found.
const marker = "ARGOSY_DEVCLUSTER_NODE=" + Root

// Kubeconfig is the admin's way in.
var Kubeconfig = in("kubeconfig")

var (
	lockFile   = Root + ".lock"
	pidFile    = in("node.pid")
	planFile   = in("plan.json")
	logDir     = in("log")
	pkiDir     = in("pki")
	configDir  = in("config")
	minioDir   = in("minio")
	containerd = in("containerd.sock")
)

func in(elem ...string) string {
	return filepath.Join(append([]string{Root}, elem...)...)
}

// private are the places that programs insist on although other programs of the host
// may use them too. The node sees folders of its own there.
var private = map[string]string{
	"/var/lib/kubelet":    in("kubelet"),
	"/var/lib/cni":        in("cni"),
	"/var/log/pods":       in("log", "pods"),
	"/var/log/containers": in("log", "containers"),
	"/run/containerd":     in("run-containerd"),
	"/tmp/hostpath_pv":    in("volumes"), // of claims
}

// Binaries are the folders of the built programs, all of them absolute.
type Binaries struct {
	Kubernetes string
	Containerd string
	Etcd       string
	CoreDNS    string
	MinIO      string
}

// plan tells the node what to run, and everyone later what it runs.
type plan struct {
	Binaries  Binaries
	MinIOOnly bool
}

func (p plan) save() error {
	body, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the plan: %w", err)
	}
	if err := os.WriteFile(planFile, body, 0o644); err != nil {
		return fmt.Errorf("writing the plan: %w", err)
	}
	return nil
}

func loadPlan() (plan, error) {
	var p plan
	body, err := os.ReadFile(planFile)
	if err != nil {
		return p, fmt.Errorf("reading the plan: %w", err)
	}
	if err := json.Unmarshal(body, &p); err != nil {
		return p, fmt.Errorf("reading the plan: %w", err)
	}
	return p, nil
}
