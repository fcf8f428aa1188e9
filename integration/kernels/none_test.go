package kernels

import (
	"fmt"
	"strings"
	"testing"

	"oci-timens/integration/machine"
	"oci-timens/internal/testenv"
)

// TestNone simulates a kernel without CONFIG_TIME_NS, and one from before pidfds: see
// cmd/notimens. There is none to be had, as every kernel of Debian since 5.6 has it.
func TestNone(t *testing.T) {
	t.Parallel()
	m := machine.New(t, "/")
	install(t, m)
	m.Copy(machine.Program(t, "notimens"), "/run/notimens", 0o755)
	m.Copy(machine.Tool(t, "runc-1.5.2"), "/files/runc", 0o755)
	reason := fmt.Sprintf("kernel %s has no time namespaces: they need Linux 5.6 with CONFIG_TIME_NS", m.Run("uname", "-r"))

	for name, before := range map[string][]string{"none": {"/run/notimens"}, "nor pidfds": {"/run/notimens", "-old"}} {
		for _, l := range debian12 {
			if said := m.Run(l.path, "--version"); !strings.HasPrefix(said, l.name+" version "+l.version) {
				testenv.Lacks(t, l.name+"-"+l.version, said)
			}
			for _, hook := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s/%s-%s/hook-%v", name, l.name, l.version, hook), func(t *testing.T) {
					// The probe looks for time namespaces, but not where it measures.
					a := attempt{runtime: l, hook: hook, args: []string{"bench", "10"}, before: before}
					if out, log, err := a.run(t, m); err != nil || !strings.Contains(out.Stdout, "boottimeVdso") {
						t.Errorf("without clocks: %v, %q, logged %s", err, out.Stdout, log)
					}
					a.asks = asks
					a.refused(t, m, reason)
					a.toml = "[policy]\non-unsupported = \"ignore\"\n"
					out, log, err := a.run(t, m)
					if err != nil || !strings.Contains(out.Stdout, "boottimeVdso") || !strings.Contains(log, reason+"; ignored, as policy.on-unsupported says") {
						t.Errorf("where that is ignored: %v, %q, logged %s", err, out.Stdout, log)
					}
				})
			}
		}
		out, err := m.Try(append(before, "timensctl", "check")...)
		if err == nil || !strings.Contains(out.Stdout, "time namespaces   no: "+reason) || strings.Contains(out.Stdout, "✓") {
			t.Errorf("timensctl check: %v, %s", err, out.Stdout)
		}
		out, err = m.Try(append(before, "timensctl", "run", "--boottime", "+1d", "--", "/run/probe")...)
		if err == nil || !strings.Contains(out.Stderr, reason) {
			t.Errorf("timensctl run: %v", err)
		}
	}
}
