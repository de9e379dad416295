package cluster

import (
	"path/filepath"
)

// component is one program of the node: how it is started and how it is asked whether
// it does its work.
type component struct {
	name  string
	path  string
	args  []string
	env   []string
	probe probe
	// after names the components that must answer before this one is started.
	after []string
}

// components lists the node's programs, each after those it waits for.
func components(p plan) []component {
	bin := p.Binaries
	minio := component{
		name: "minio",
		path: filepath.Join(bin.MinIO, "minio"),
		args: []string{"server", "--quiet", "--address", S3Endpoint, minioDir},
		env: []string{
			"MINIO_ROOT_USER=" + s3Key, "MINIO_ROOT_PASSWORD=" + s3Secret,
			"MINIO_BROWSER=off", "MINIO_UPDATE=off",
		},
		probe: get("http://" + S3Endpoint + "/minio/health/live"),
	}
	if p.MinIOOnly {
		return []component{minio}
	}
	pki := func(name string) string { return filepath.Join(pkiDir, name) }
	conf := func(name string) string { return filepath.Join(configDir, name) }
	kube := func(name string) string { return filepath.Join(bin.Kubernetes, name) }
	return []component{
		minio,
		{
			name: "etcd",
			path: filepath.Join(bin.Etcd, "etcd"),
			args: []string{
				"--data-dir", in("etcd"),
				"--listen-client-urls", "http://127.0.0.1:2379",
				"--advertise-client-urls", "http://127.0.0.1:2379",
				"--listen-peer-urls", "http://127.0.0.1:2380",
				"--listen-metrics-urls", "http://" + nodeIP + ":2381",
				"--unsafe-no-fsync", // nothing here outlives the cluster
				"--log-level", "warn",
			},
			probe: get("http://" + nodeIP + ":2381/health"),
		},
		{
			name:  "containerd",
			path:  filepath.Join(bin.Containerd, "containerd"),
			args:  []string{"--config", conf("containerd.toml"), "--log-level", "info"},
			probe: dial(containerd),
		},
		{
			name: "kube-apiserver",
			path: kube("kube-apiserver"),
			args: []string{
				"--etcd-servers=http://127.0.0.1:2379",
				"--bind-address=0.0.0.0",
				"--advertise-address=" + nodeIP,
				"--service-cluster-ip-range=" + serviceCIDR,
				"--client-ca-file=" + pki("ca.crt"),
				"--tls-cert-file=" + pki("apiserver.crt"),
				"--tls-private-key-file=" + pki("apiserver.key"),
				"--kubelet-client-certificate=" + pki("kubelet-client.crt"),
				"--kubelet-client-key=" + pki("kubelet-client.key"),
				"--kubelet-preferred-address-types=InternalIP",
				"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
				"--service-account-key-file=" + pki("service-account.pub"),
				"--service-account-signing-key-file=" + pki("service-account.key"),
				"--authorization-mode=Node,RBAC",
				"--allow-privileged=true",
			},
			probe: api("/readyz"),
			after: []string{"etcd"},
		},
		{
			name: "kube-controller-manager",
			path: kube("kube-controller-manager"),
			args: []string{
				"--kubeconfig=" + conf("controller-manager.kubeconfig"),
				"--bind-address=" + nodeIP,
				"--leader-elect=false",
				"--use-service-account-credentials=true",
				"--service-account-private-key-file=" + pki("service-account.key"),
				"--root-ca-file=" + pki("ca.crt"),
				"--kube-api-qps=200", "--kube-api-burst=400",
				"--concurrent-job-syncs=20",
				"--enable-hostpath-provisioner=true", // see storage.go
			},
			probe: get("https://" + nodeIP + ":10257/healthz"),
			after: []string{"kube-apiserver"},
		},
		{
			name: "kube-scheduler",
			path: kube("kube-scheduler"),
			args: []string{
				"--kubeconfig=" + conf("scheduler.kubeconfig"),
				"--authentication-kubeconfig=" + conf("scheduler.kubeconfig"),
				"--authorization-kubeconfig=" + conf("scheduler.kubeconfig"),
				"--authentication-tolerate-lookup-failure=true",
				"--bind-address=" + nodeIP,
				"--leader-elect=false",
				"--kube-api-qps=200", "--kube-api-burst=400",
			},
			probe: get("https://" + nodeIP + ":10259/healthz"),
			after: []string{"kube-apiserver"},
		},
		{
			name: "kubelet",
			path: kube("kubelet"),
			args: []string{
				"--config=" + conf("kubelet.yaml"),
				"--kubeconfig=" + conf("kubelet.kubeconfig"),
				"--hostname-override=" + nodeName,
				"--node-ip=" + nodeIP,
			},
			probe: allOf(get("http://"+nodeIP+":10248/healthz"), nodeReady),
			after: []string{"containerd", "kube-apiserver"},
		},
		{
			name:  "kube-proxy",
			path:  kube("kube-proxy"),
			args:  []string{"--config=" + conf("kube-proxy.yaml")},
			probe: get("http://" + nodeIP + ":10256/healthz"),
			after: []string{"kube-apiserver"},
		},
		{
			name:  "coredns",
			path:  filepath.Join(bin.CoreDNS, "coredns"),
			args:  []string{"-conf", conf("Corefile")},
			probe: get("http://" + nodeIP + ":8181/ready"),
			after: []string{"kube-apiserver"},
		},
	}
}
