package cluster

import (
	"fmt"
	"os"
	"path/filepath"

	"argosy/deploy/devcluster/internal/image"
)

// configs are the programs' configuration files, by name.
func configs() map[string]string {
	return map[string]string{
		"containerd.toml":        containerdConfig(),
		"kubelet.yaml":           kubeletConfig(),
		"kube-proxy.yaml":        proxyConfig(),
		"Corefile":               corefile(),
		"resolv.conf":            "nameserver " + nodeIP + "\n",
		"cni/10-argosy.conflist": cniConfig(),
	}
}

func writeConfigs() error {
	for name, body := range configs() {
		path := filepath.Join(configDir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
		if err := os.WriteFile(path, []byte(body), 0o644); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
	}
	return nil
}

func containerdConfig() string {
	// restrict_oom_score_adj: where a machine withholds CAP_SYS_RESOURCE, runc cannot
	// lower a score and dies without saying so.
	return fmt.Sprintf(`version = 2
root = %q
state = %q
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]

[grpc]
  address = %q

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %q
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = %q
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
`, in("containerd", "root"), in("containerd", "state"), containerd, image.Pause, filepath.Join(configDir, "cni"))
}

func cniConfig() string {
	return fmt.Sprintf(`{
  "cniVersion": "0.4.0",
  "name": "argosy",
  "plugins": [
    {
      "type": "bridge",
      "bridge": %q,
      "isGateway": true,
      "hairpinMode": true,
      "ipam": {
        "type": "host-local",
        "ranges": [[{"subnet": %q, "rangeStart": "10.88.0.10", "gateway": %q}]],
        "routes": [{"dst": "0.0.0.0/0"}]
      }
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
`, bridge, podCIDR, nodeIP)
}

func kubeletConfig() string {
	// Images exist nowhere else, so none may be collected as garbage. The limits on
	// rates are lifted because tests start pods by the hundred.
	return fmt.Sprintf(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: %[1]s
healthzBindAddress: %[1]s
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: %[2]s}
authorization: {mode: Webhook}
cgroupDriver: cgroupfs
cgroupRoot: %[3]s
containerRuntimeEndpoint: unix://%[4]s
failCgroupV1: false
failSwapOn: false
clusterDNS: [%[1]s]
clusterDomain: cluster.local
resolvConf: %[5]s
evictionHard:
  memory.available: 50Mi
  nodefs.available: 1%%
  nodefs.inodesFree: 1%%
  imagefs.available: 1%%
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
maxPods: 250
oomScoreAdj: 0
registryPullQPS: 0
eventRecordQPS: 0
kubeAPIQPS: 200
kubeAPIBurst: 400
serializeImagePulls: false
shutdownGracePeriod: 0s
`, nodeIP, filepath.Join(pkiDir, "ca.crt"), cgroupRoot, containerd, filepath.Join(configDir, "resolv.conf"))
}

func proxyConfig() string {
	// The connection tracking limits belong to the host and are left as they are.
	return fmt.Sprintf(`apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clusterCIDR: %s
hostnameOverride: %s
healthzBindAddress: %s:10256
metricsBindAddress: %s:10249
oomScoreAdj: 0
clientConnection:
  kubeconfig: %s
conntrack:
  maxPerCore: 0
  min: 0
  tcpEstablishedTimeout: 0s
  tcpCloseWaitTimeout: 0s
iptables:
  minSyncPeriod: 100ms
`, podCIDR, nodeName, nodeIP, nodeIP, filepath.Join(configDir, "proxy.kubeconfig"))
}

func corefile() string {
	// Answers are kept for seconds only: tests look up Services they have just made.
	return fmt.Sprintf(`.:53 {
    bind %[1]s
    ready %[1]s:8181
    errors
    cache 2 {
        denial 1024 1
    }
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        kubeconfig %[2]s
        pods insecure
        ttl 2
    }
}
`, nodeIP, filepath.Join(configDir, "coredns.kubeconfig"))
}
