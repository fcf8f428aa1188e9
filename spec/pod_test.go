package spec

import "testing"

func TestPod(t *testing.T) {
	const type1, id1 = "io.kubernetes.cri.container-type", "io.kubernetes.cri.sandbox-id"
	const type2, id2 = "io.kubernetes.cri-o.ContainerType", "io.kubernetes.cri-o.SandboxID"
	for name, tt := range map[string]struct {
		annotations map[string]string
		id          string
		in          bool
		wantErr     string
	}{
		"no pod":               {map[string]string{"other": "x"}, "", false, ""},
		"containerd":           {map[string]string{type1: "container", id1: "ab12"}, "ab12", true, ""},
		"CRI-O, podman 4":      {map[string]string{type2: "container", id2: "ab12"}, "ab12", true, ""},
		"podman 5":             {map[string]string{id2: "ab12"}, "ab12", true, ""},
		"both":                 {map[string]string{type1: "container", type2: "container", id1: "ab12", id2: "ab12"}, "ab12", true, ""},
		"without an ID":        {map[string]string{type1: "container"}, "unnamed", true, ""},
		"containerd's sandbox": {map[string]string{type1: "sandbox", id1: "ab12"}, "", false, ""},
		"CRI-O's sandbox":      {map[string]string{type2: "sandbox", id2: "ab12"}, "", false, ""},
		"two IDs": {map[string]string{id1: "a", id2: "b"}, "", false,
			`annotations "io.kubernetes.cri.sandbox-id": "a" and "io.kubernetes.cri-o.SandboxID": "b" contradict each other`},
		"a path": {map[string]string{id2: "../x"}, "", false,
			`the ID of the container's pod, "../x", is none: at most 128 letters, digits, "-", "_" and "."`},
	} {
		id, in, err := Pod(tt.annotations)
		switch {
		case tt.wantErr != "":
			wantError(t, err, tt.wantErr)
		case id != tt.id || in != tt.in || err != nil:
			t.Errorf("%s: %q, %v, %v", name, id, in, err)
		}
	}
}

func TestJoined(t *testing.T) {
	for text, want := range map[string]Joined{
		``: {},
		`{"type":"network"},{"type":"ipc","path":""}`:                                                         {},
		`{"type":"pid","path":"/proc/9/ns/pid"},{"type":"ipc","path":"/proc/7/ns/ipc"}`:                       {7, "ipc"}, // debugs another
		`{"type":"network","path":"/run/netns/x"},{"type":"uts","path":"/proc/7/ns/uts"}`:                     {7, "uts"},
		`{"type":"ipc","path":"/proc/7/ns/ipc"},{"type":"network","path":"/proc/8/ns/net"}`:                   {8, "net"},
		`{"type":"pid","path":"/proc/9/ns/pid"}`:                                                              {9, "pid"},
		`{"type":"mount","path":"/proc/9/ns/mnt"},{"type":"time","path":"/proc/9/ns/time"}`:                   {},
		`{"type":"network","path":"/proc/9/ns/ipc"},{"type":"uts","path":"/proc/self/ns/uts"}`:                {},
		`{"type":"network","path":"/proc/-9/ns/net"},{"type":"uts","path":"/x/proc/9/ns/uts"}`:                {},
		`{"type":"network","path":"/proc/99999999999999999999/ns/net"},{"type":"ipc","path":"9/ns/ipc"}`:      {},
		`{"type":"user","path":"/proc/5/ns/user"},{"type":"cgroup","path":"/proc/6/ns/cgroup","more":[1,{}]}`: {6, "cgroup"},
	} {
		d, err := ParseDocument([]byte(`{"linux":{"namespaces":[` + text + `]}}`))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := d.Joined(); got != want || err != nil {
			t.Errorf("%s: %+v, %v, want %+v", text, got, err, want)
		}
	}
}
