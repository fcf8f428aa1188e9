package deploy

import (
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"

	"oci-timens/integration/machine"
)

// TestManifests applies everything to a real API server.
func TestManifests(t *testing.T) {
	s := newServer(t)
	s.must(t, "root", "apply", "-k", deployed+"/base")
	t.Run("overlays", func(t *testing.T) { testOverlays(t, s) })
	t.Run("least rights", func(t *testing.T) { testRights(t, s) })
	t.Run("flags", func(t *testing.T) { testFlags(t, s) })
	t.Run("helm", func(t *testing.T) { testHelm(t, s) })
	t.Run("PodSecurity", func(t *testing.T) { testPodSecurity(t, s) })
	t.Run("admission", func(t *testing.T) { testAdmission(t, s) })
}

var overlays = []string{"base", "overlays/nri", "overlays/runtimeclass", "overlays/uninstall"}

const daemonSet = "DaemonSet oci-timens"

// testOverlays applies one overlay on top of the other, as who changes his mind does: what
// then is there is what a new cluster would get.
func testOverlays(t *testing.T, s *server) {
	const spec = "-o=jsonpath={.spec}"
	for _, o := range append(overlays, "overlays/nri", "overlays/uninstall") {
		want := s.built(t, o)
		if len(want) < 4 {
			t.Errorf("%s has only %d objects", o, len(want))
		}
		s.must(t, "root", "apply", "--validate=strict", "-f", "/tmp/built.yaml")
		is := s.must(t, "root", "get", "-n", "oci-timens", "daemonset/oci-timens", spec)
		set := want[daemonSet]
		set["metadata"].(map[string]any)["name"] = "fresh"
		text, err := json.Marshal(set)
		if err != nil {
			t.Fatal(err)
		}
		s.m.Write("/tmp/fresh.json", string(text), 0o644)
		fresh := s.must(t, "root", "create", "--dry-run=server", "-f", "/tmp/fresh.json", spec)
		if is == "" || is != fresh {
			t.Errorf("%s: applied over another one, it is\n%s\nwant\n%s", o, is, fresh)
		}
	}
}

// testRights looks for what a pod of ours does not need.
func testRights(t *testing.T, s *server) {
	adds := map[string]any{"overlays/runtimeclass": []any{"SYS_CHROOT"}, "overlays/uninstall": []any{"SYS_CHROOT"}}
	for _, o := range overlays {
		pod := at(s.built(t, o)[daemonSet], "spec", "template", "spec").(map[string]any)
		for _, key := range []string{"hostPID", "hostIPC", "hostNetwork", "shareProcessNamespace"} {
			if pod[key] != nil {
				t.Errorf("%s: %s is %v", o, key, pod[key])
			}
		}
		if pod["automountServiceAccountToken"] != false || at(pod, "securityContext", "seccompProfile", "type") != "RuntimeDefault" {
			t.Errorf("%s: %v", o, pod)
		}
		for _, list := range []string{"initContainers", "containers"} {
			for _, c := range pod[list].([]any) {
				want := map[string]any{"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": map[string]any{"drop": []any{"ALL"}}}
				if list == "initContainers" && adds[o] != nil {
					want["capabilities"].(map[string]any)["add"] = adds[o]
				}
				if list == "containers" && adds[o] != nil {
					want["runAsNonRoot"], want["runAsUser"], want["runAsGroup"] = true, float64(65534), float64(65534)
				}
				if got := at(c, "securityContext"); !reflect.DeepEqual(got, any(want)) {
					t.Errorf("%s, container %v: %v\nwant %v", o, at(c, "name"), got, want)
				}
				if at(c, "resources", "limits", "memory") == nil || at(c, "resources", "limits", "cpu") != nil {
					t.Errorf("%s, container %v: resources %v", o, at(c, "name"), at(c, "resources"))
				}
			}
		}
	}
}

// testPodSecurity creates the pod of each DaemonSet, as its controller would, in its own
// namespace and in one where nothing special is allowed.
func testPodSecurity(t *testing.T, s *server) {
	s.must(t, "root", "create", "namespace", "strict")
	s.must(t, "root", "label", "namespace", "strict", "pod-security.kubernetes.io/enforce=baseline")
	for _, o := range overlays[1:] {
		s.built(t, o)
		s.must(t, "root", "apply", "-f", "/tmp/built.yaml")
		text := s.must(t, "root", "get", "-n", "oci-timens", "daemonset/oci-timens", "-o", "jsonpath={.spec.template.spec}")
		pod := func(ns string) error {
			return s.send(t, "root", "create", fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"one","namespace":%q},"spec":%s}`, ns, text), "--dry-run=server")
		}
		judge(t, pod("oci-timens"), "")
		judge(t, pod("strict"), `violates PodSecurity "baseline:latest": `)
	}
}

// testFlags checks that programs know the options that manifests give them.
func testFlags(t *testing.T, s *server) {
	help := map[string]string{}
	for _, o := range overlays {
		pod := at(s.built(t, o)[daemonSet], "spec", "template", "spec")
		for _, list := range []string{"initContainers", "containers"} {
			for _, c := range at(pod, list).([]any) {
				checkCommand(t, o, at(c, "command").([]any), help)
			}
		}
	}
	if len(help) < 4 {
		t.Errorf("commands are %q", slices.Collect(maps.Keys(help)))
	}
}

func checkCommand(t *testing.T, overlay string, words []any, help map[string]string) {
	t.Helper()
	var command, options []string
	for _, w := range words {
		if option, ok := strings.CutPrefix(w.(string), "--"); ok {
			name, _, _ := strings.Cut(option, "=")
			options = append(options, name)
		} else {
			command = append(command, w.(string))
		}
	}
	name := strings.Join(command, " ")
	if help[name] == "" {
		text, err := exec.Command(machine.Program(t, strings.TrimPrefix(command[0], "/")), append(command[1:], "--help")...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s --help: %v\n%s", name, err, text)
		}
		help[name] = string(text)
	}
	for _, o := range options {
		if !strings.Contains(help[name], "--"+o+" ") {
			t.Errorf("%s: %s has no option --%s:\n%s", overlay, name, o, help[name])
		}
	}
}
