package k8s

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"testing"
)

const (
	image    = "localhost/probe:latest" // holds the probe, and serves as pause image too
	nodeName = "node"
	nodeIP   = "10.76.0.1"

	manifests    = "/etc/kubernetes/manifests"
	containerdAt = "/etc/containerd/config.toml"
	runc         = "/usr/local/sbin/runc"
	becomes      = "/usr/local/sbin/becomes" // which is runc a moment later
)

// What containerd needs in such a machine, in each version of its file: without
// CAP_SYS_RESOURCE nothing may be protected from the OOM killer, no registry has a
// pause image, and the CNI plugins are where Debian has them.
const (
	containerd2 = `version = 2

[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true
  sandbox_image = "localhost/probe:latest"
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
`
	containerd3 = `version = 3

[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ['/usr/lib/cni']

[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = 'localhost/probe:latest'
`
	// NRI is off by default in containerd 1.7, and on from 2.0 on.
	nri2 = `
[plugins."io.containerd.nri.v1.nri"]
  disable = false
`
	// Pods may name plugins that they do not start without.
	nri3 = `
[plugins.'io.containerd.nri.v1.nri'.default_validator]
  enable = true
`
	// No pod starts without the plugin, but for the plugin's own.
	required = nri3 + `  required_plugins = ["timens"]
  tolerate_missing_plugins_annotation = "tolerate-missing-nri-plugins.noderesource.dev"
`
	// A handler with the least that can stand in front of runc, to compare with.
	becoming = `
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.becomes]
  runtime_type = 'io.containerd.runc.v2'
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.becomes.options]
  BinaryName = '` + becomes + `'
`
)

const network = `{"cniVersion": "1.0.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.77.0.0/16"}]]}}]}
`

const kubeconfig = `apiVersion: v1
kind: Config
current-context: machine
contexts: [{name: machine, context: {cluster: machine, user: root}}]
clusters: [{name: machine, cluster: {server: "https://127.0.0.1:6443", insecure-skip-tls-verify: true}}]
users: [{name: root, user: {token: machine}}]
`

const tokens = "machine,root,root,system:masters\n"

// A kubelet that fits into two processors, and does not mind how full the disk of the
// machine below is. Containers that crash are started again at once.
const kubeletConfig = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
failCgroupV1: false
enforceNodeAllocatable: []
localStorageCapacityIsolation: false
evictionHard: {memory.available: 0%, nodefs.available: 0%, nodefs.inodesFree: 0%, imagefs.available: 0%, imagefs.inodesFree: 0%}
imageGCHighThresholdPercent: 100
makeIPTablesUtilChains: false
oomScoreAdj: 0
resolvConf: ""
clusterDNS: [10.78.0.10] # which nobody serves
staticPodPath: ` + manifests + `
fileCheckFrequency: 1s
maxPods: 250
kubeAPIQPS: 500
kubeAPIBurst: 1000
eventRecordQPS: 500
eventBurst: 1000
featureGates: {KubeletCrashLoopBackOffMax: true}
crashLoopBackOff: {maxContainerRestartPeriod: 1s}
`

// Run as kubelet. It sets the memory's and the kernel's behaviour in case of need
// for the whole machine, which would be the one below: it gets files of its own to write
// that to. They hide nothing from containers: with a part of /proc hidden, the kernel
// mounts none in a user namespace.
const kubeletScript = `set -e
mount --make-private /proc
for name in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys kernel/keys/root_maxbytes; do
	mkdir -p /run/sysctl/$(dirname $name)
	cat /proc/sys/$name >/run/sysctl/$name
	mount --bind /run/sysctl/$name /proc/sys/$name
done
exec kubelet --config=/etc/kubernetes/kubelet.yaml --kubeconfig=/root/.kube/config \
	--hostname-override=` + nodeName + ` --node-ip=` + nodeIP + `
`

// accountKey makes what signs the tokens of service accounts, which nobody asks for.
func accountKey(t testing.TB) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
}
