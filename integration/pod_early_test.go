package integration

import (
	"testing"
	"time"
)

// TestPodEarly makes a container while the sandbox's init has its clocks and has not
// entered them yet, as right after an engine has started the sandbox: with runc, init
// enters when it runs its program, which is after "runc start" has returned.
func TestPodEarly(t *testing.T) {
	eachPod(t, func(t *testing.T, s stack) {
		sandbox := newSandbox(t, s, "early-"+s.runtime.key)
		annotate(sandbox.spec, "io.timens.boottime", "=0")
		if r := sandbox.create(); r.exit != 0 {
			t.Fatalf("create: exit %d: %s%s", r.exit, r.stderr, r.stdout)
		}
		time.Sleep(200 * time.Millisecond)
		app := sandbox.newMember("app")
		annotate(app.spec, "io.timens.boottime", "=0")
		app.start()
		sandbox.must("start", sandbox.id)
		sandbox.report()
		if got, pods := app.held(), sandbox.held(); got != pods {
			t.Errorf("has %v, and the sandbox %v", got, pods)
		}
		app.stop()
		sandbox.stop()
	})
}
