package containerd

import (
	"strings"
	"testing"

	"oci-timens/integration/cri"
)

// testErrors reads what the users of ctr and of the CRI are told.
func (e *engine) testErrors(t *testing.T) {
	const began = "failed to create shim task: OCI runtime create failed: "
	bad := map[string]string{"io.timens.boottime": "5 days"}
	badText := began + `annotation "io.timens.boottime": "5 days": `
	below := map[string]string{"io.timens.boottime": "-400d"}
	belowText := began + `annotation "io.timens.boottime": "-400d": offset -400d would set CLOCK_BOOTTIME to -`
	e.see(t, byCRI, sawErrors, func(t *testing.T) {
		for want, annotations := range map[string]map[string]string{
			badText: bad, belowText: below,
			began + `annotation "io.timens.uptime" is unknown: the keys are io.timens.monotonic and io.timens.boottime`: {"io.timens.uptime": "=0"},
		} {
			p := newPod(t, "timens", annotations)
			says(t, e.cri.RunPodSandbox(t.Context(), p), want)
		}
		// Of a container, and of the pod's other containers nothing.
		p := e.pod(t, "timens", nil)
		o := &cri.Container{Name: "a", Image: image, Annotations: bad}
		if err := e.cri.CreateContainer(t.Context(), p, o); err != nil {
			t.Fatal(err)
		}
		says(t, e.cri.StartContainer(t.Context(), o), badText)
		status, err := e.cri.ContainerStatus(t.Context(), o)
		if err != nil || !strings.Contains(status.GetMessage(), badText) {
			t.Errorf("the container's status says %q, %v, want %q", status.GetMessage(), err, badText)
		}
		e.container(t, p, &cri.Container{Name: "b"})
	})
	e.see(t, byCtr, sawErrors, func(t *testing.T) {
		for want, setting := range map[string]string{badText: "5 days", belowText: "-400d"} {
			out := e.fail(t, "ctr", "run", "--rm", "--runc-binary", shim, "--annotation", "io.timens.boottime="+setting, image, "refused", "/probe")
			if !strings.Contains(out, "ctr: "+want) {
				t.Errorf("ctr wrote %q, want %q", out, want)
			}
		}
	})
	e.testPolicy(t, began)
}

// testPolicy refuses by the host's configuration.
func (e *engine) testPolicy(t *testing.T, began string) {
	const dropIn = "/etc/oci-timens/config.d/50-policy.toml"
	policy := func(t *testing.T) {
		e.m.Write(dropIn, "[policy]\nmax-offset = \"1d\"\n", 0o644)
		// The folders as well, where they were not there before.
		t.Cleanup(func() {
			e.run(t, "sh", "-c", "cd /etc && rm "+dropIn+" && rmdir -p --ignore-fail-on-non-empty oci-timens/config.d")
		})
	}
	want := began + `annotation "io.timens.monotonic": "+36h" is denied by the configuration of this host: the offset +1d12h is above policy.max-offset +1d`
	e.see(t, byCRI, sawErrors, func(t *testing.T) {
		policy(t)
		says(t, e.cri.RunPodSandbox(t.Context(), newPod(t, "timens", map[string]string{"io.timens.monotonic": "+36h"})), want)
	})
	e.see(t, byCtr, sawErrors, func(t *testing.T) {
		policy(t)
		out := e.fail(t, "ctr", "run", "--rm", "--runc-binary", shim, "--annotation", "io.timens.monotonic=+36h", image, "refused", "/probe")
		if !strings.Contains(out, "ctr: "+want) {
			t.Errorf("ctr wrote %q, want %q", out, want)
		}
	})
}

func says(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("the error is %v, want %q", err, want)
	}
}
