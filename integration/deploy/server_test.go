package deploy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"oci-timens/integration/machine"
	"oci-timens/internal/testenv"
)

func TestMain(m *testing.M) { os.Exit(machine.Main(m)) }

// kubernetes is the version of the programs.
const kubernetes = "kubernetes-1.34.4"

// deployed is where the manifests are in the machine.
const deployed = "/deploy"

// server is an API server with its etcd, without nodes and without controllers.
type server struct{ m *machine.Machine }

// tokens are the users' passwords, names and groups: root may do everything, alice
// and bob what the tests let them, and the others are what a cluster has.
const tokens = `root,root,1,system:masters
alice,alice,2,developers
bob,bob,3,developers
controller,system:serviceaccount:kube-system:replicaset-controller,4,"system:serviceaccounts,system:serviceaccounts:kube-system"
node,system:node:node,5,system:nodes
`

func newServer(t *testing.T) *server {
	t.Helper()
	if _, err := os.Stat("/usr/bin/etcd"); err != nil {
		testenv.Lacks(t, "etcd", err)
	}
	s := &server{machine.New(t, "/")}
	for _, p := range []string{"kube-apiserver", "kubectl"} {
		s.m.Copy(machine.Tool(t, kubernetes+"/"+p), "/usr/local/bin/"+p, 0o755)
	}
	s.m.Run("mkdir", "-p", "/etc/kubernetes", deployed)
	s.copyManifests(t)
	s.m.Write("/etc/kubernetes/tokens", tokens, 0o600)
	s.m.Write("/etc/kubernetes/account.pem", accountKey(t), 0o600)
	s.m.Run("rm", "-rf", "/var/lib/etcd", "/root/.kube")
	etcd := s.m.Start("etcd", "--data-dir=/var/lib/etcd", "--log-level=error", "--logger=zap")
	etcd.Await(func() error { return nil })
	api := s.m.Start("kube-apiserver", "--etcd-servers=http://127.0.0.1:2379", "--bind-address=127.0.0.1",
		"--advertise-address=10.76.0.1", "--cert-dir=/var/lib/kube-apiserver", "--token-auth-file=/etc/kubernetes/tokens",
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--disable-admission-plugins=ServiceAccount",
		"--allow-privileged", "--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=/etc/kubernetes/account.pem", "--service-account-signing-key-file=/etc/kubernetes/account.pem",
		"--service-cluster-ip-range=10.78.0.0/24")
	api.Await(func() error { _, err := s.as("root", "get", "--raw", "/readyz"); return err })
	return s
}

// copyManifests puts deploy/kubernetes into the machine.
func (s *server) copyManifests(t *testing.T) {
	t.Helper()
	from := filepath.Join("..", "..", "deploy", "kubernetes")
	err := filepath.WalkDir(from, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(from, path)
		s.m.Copy(path, filepath.Join(deployed, rel), 0o644)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// as runs kubectl as a user, and returns what it wrote.
func (s *server) as(user string, args ...string) (string, error) {
	o, err := s.m.Try(append([]string{
		"kubectl", "--server=https://127.0.0.1:6443",
		"--insecure-skip-tls-verify", "--token=" + user, "--warnings-as-errors",
	}, args...)...)
	return o.Stdout + o.Stderr, err
}

func (s *server) must(t *testing.T, user string, args ...string) string {
	t.Helper()
	out, err := s.as(user, args...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// send writes an object to a file and has a user create or apply it.
func (s *server) send(t *testing.T, user, verb, text string, args ...string) error {
	t.Helper()
	s.m.Write("/tmp/object.yaml", text, 0o644)
	_, err := s.as(user, append([]string{verb, "--validate=strict", "-f", "/tmp/object.yaml"}, args...)...)
	return err
}

// objects decodes YAML, by kubectl, which fails for what is not as the API server knows it.
func (s *server) objects(t *testing.T, file string) (objects map[string]map[string]any) {
	t.Helper()
	out := s.must(t, "root", "create", "--dry-run=client", "--validate=false", "-o", "json", "-f", file)
	objects = map[string]map[string]any{}
	for d := json.NewDecoder(strings.NewReader(out)); d.More(); {
		var o map[string]any
		if err := d.Decode(&o); err != nil {
			t.Fatal(err)
		}
		list := []any{o}
		if items, ok := o["items"].([]any); ok {
			list = items
		}
		for _, item := range list {
			o := item.(map[string]any)
			meta := o["metadata"].(map[string]any)
			objects[o["kind"].(string)+" "+meta["name"].(string)] = o
		}
	}
	return objects
}

// built is what kubectl makes of a folder of deploy/kubernetes.
func (s *server) built(t *testing.T, folder string) map[string]map[string]any {
	t.Helper()
	s.m.Run("sh", "-c", "kubectl kustomize "+deployed+"/"+folder+" >/tmp/built.yaml")
	return s.objects(t, "/tmp/built.yaml")
}

// at goes down an object; a number in a list chooses an item, and a text the item
// that has that name.
func at(o any, path ...any) any {
	for _, step := range path {
		switch v := o.(type) {
		case map[string]any:
			o = v[step.(string)]
		case []any:
			i, ok := step.(int)
			if !ok {
				i = slices.IndexFunc(v, func(item any) bool { return at(item, "name") == step })
			}
			if i < 0 || i >= len(v) {
				return nil
			}
			o = v[i]
		default:
			return nil
		}
	}
	return o
}

// accountKey makes what signs the tokens of service accounts, which nobody asks for.
func accountKey(t *testing.T) string {
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
