package deploy

import (
	"cmp"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"oci-timens/integration/machine"
)

// template has helm print what it would install.
func template(t *testing.T, set ...string) (string, error) {
	t.Helper()
	args := []string{"template", "timens", "../../deploy/kubernetes/helm/oci-timens", "--namespace=oci-timens"}
	for _, v := range set {
		args = append(args, "--set="+v)
	}
	cmd := exec.Command(machine.Tool(t, "helm-3.22.0"), args...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	out, err := cmd.CombinedOutput()
	return string(out), err
}

var image = []string{"image.repository=oci-timens", "image.tag=v1"}

// testHelm checks that the chart gives what the Kustomize form gives, and that the API
// server takes it.
func testHelm(t *testing.T, s *server) {
	for _, c := range []struct {
		folders string
		set     []string
	}{
		{"overlays/nri", nil},
		{"overlays/nri admission", []string{"admission.enabled=true"}},
		{"overlays/runtimeclass", []string{"mode=runtimeclass"}},
		{"overlays/uninstall", []string{"uninstall=true"}},
		{"overlays/uninstall", []string{"uninstall=true", "mode=runtimeclass"}},
	} {
		text, err := template(t, append(image, c.set...)...)
		if err != nil {
			t.Fatal(text)
		}
		want := map[string]map[string]any{}
		for folder := range strings.FieldsSeq(c.folders) {
			for name, o := range s.built(t, folder) {
				want[name] = o
			}
		}
		s.m.Write("/tmp/helm.yaml", text, 0o644)
		a, b := comparable(t, s.objects(t, "/tmp/helm.yaml")), comparable(t, want)
		for _, name := range slices.Sorted(maps.Keys(b)) {
			if a[name] != b[name] {
				t.Errorf("%s, %v: helm gives\n%s\nkubectl kustomize %s\n%s", name, c.set, a[name], c.folders, b[name])
			}
		}
		if len(a) != len(b) {
			t.Errorf("%v: helm gives %q", c.set, slices.Sorted(maps.Keys(a)))
		}
		s.must(t, "root", "apply", "--dry-run=server", "--validate=strict", "-f", "/tmp/helm.yaml")
	}
	t.Run("values", func(t *testing.T) { testValues(t, s) })
	t.Run("refused", testHelmRefused)
}

// comparable has the text of each object without what differs by design: helm makes no
// namespace, marks a change of the configuration elsewhere, and lists in another order.
func comparable(t *testing.T, objects map[string]map[string]any) map[string]string {
	t.Helper()
	texts := map[string]string{}
	for name, o := range objects {
		switch o["kind"] {
		case "Namespace":
			continue
		case "ConfigMap":
			name, o = "ConfigMap", nil
		case "DaemonSet":
			comparableSet(o)
		}
		text, err := json.MarshalIndent(o, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		texts[name] = string(text)
	}
	return texts
}

func comparableSet(o any) {
	meta := at(o, "spec", "template", "metadata").(map[string]any)
	if annotations, ok := meta["annotations"].(map[string]any); ok {
		delete(annotations, "checksum/config")
		if len(annotations) == 0 {
			delete(meta, "annotations")
		}
	}
	pod := at(o, "spec", "template", "spec").(map[string]any)
	sorted(pod["volumes"], "name")
	at(pod, "volumes", "config", "configMap").(map[string]any)["name"] = "oci-timens"
	for _, list := range []string{"initContainers", "containers"} {
		c := at(pod, list, 0).(map[string]any)
		c["image"] = strings.TrimSuffix(c["image"].(string), ":v1")
		sorted(c["volumeMounts"], "mountPath")
	}
}

func sorted(list any, key string) {
	items, _ := list.([]any)
	slices.SortFunc(items, func(a, b any) int { return cmp.Compare(at(a, key).(string), at(b, key).(string)) })
}

// testValues gives each value that the default leaves out.
func testValues(t *testing.T, s *server) {
	text, err := template(t, append(image, "mode=runtimeclass", "engine=crio", "engineConfig=/etc/crio/x.conf", "restart=systemctl restart crio",
		"imagePullSecrets[0].name=mine", "nodeSelector.pool=clocks", "resources.limits.memory=99Mi", "priorityClassName=",
		`config=[policy]`+"\n"+`max-offset = "30d"`, "image.pullPolicy=Always")...)
	if err != nil {
		t.Fatal(text)
	}
	s.m.Write("/tmp/helm.yaml", text, 0o644)
	s.must(t, "root", "apply", "--dry-run=server", "--validate=strict", "-f", "/tmp/helm.yaml")
	for _, want := range []string{
		`- --engine=crio`, `- "--engine-config=/etc/crio/x.conf"`, `- "--restart=systemctl restart crio"`, `imagePullSecrets: [{"name":"mine"}]`,
		`nodeSelector: {"kubernetes.io/os":"linux","pool":"clocks"}`, `nodeSelector: {"pool":"clocks"}`, `resources: {"limits":{"memory":"99Mi"}}`,
		`config.toml: "[policy]\nmax-offset = \"30d\""`, `imagePullPolicy: Always`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if text, err = template(t, append(image, "logLevel=debug")...); err != nil || !strings.Contains(text, "- --log-level=debug\n") {
		t.Errorf("%v, no --log-level in\n%s", err, text)
	}
}

func testHelmRefused(t *testing.T) {
	for value, want := range map[string]string{
		"image.tag=":     "at '/image/tag': minLength: got 0, want 1",
		"mode=shim":      "at '/mode': value must be one of 'nri', 'runtimeclass'",
		"modes=nri":      "at '': additional properties 'modes' not allowed",
		"logLevel=loud":  "at '/logLevel': value must be one of 'error', 'warning', 'info', 'debug'",
		"engine=dockerd": "at '/engine': value must be one of 'containerd', 'crio'",
	} {
		if out, err := template(t, append(image, value)...); err == nil || !strings.Contains(out, want) {
			t.Errorf("%s: %v\n%s\nwant %s", value, err, out, want)
		}
	}
}
