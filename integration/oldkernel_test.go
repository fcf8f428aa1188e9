package integration

import (
	"errors"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

// alwaysSame are the features that do not depend on whether clocks can be set.
var alwaysSame = []string{"nothing asked", "refuses bad requests", timePath}

// kernelFrom tells whether the kernel is of this version or a later one.
func kernelFrom(major, minor int) bool {
	var u unix.Utsname
	var x, y int
	err := unix.Uname(&u)
	if _, e := fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &x, &y); errors.Join(err, e) != nil {
		panic(errors.Join(err, e))
	}
	return x > major || x == major && y >= minor
}

// refusedHere tells whether this way to start a container can give it no clocks on this
// kernel: the inits of runc have several threads, which only exec moves, from Linux 6.2 on
// (commit 2b5f9dad32ed).
func (s stack) refusedHere() bool {
	return !kernelFrom(6, 2) && !s.runtime.isCrun() && (s.mechanism == "hook" || s.runtime.knowsNone())
}

// checkRefusedHere wants a container with clocks not to start, for that reason.
func (s stack) checkRefusedHere(t *testing.T) {
	t.Helper()
	c := newContainer(t, s)
	ask(c, askMonotonic, askBoottime)
	c.refused("run", "does not move a process into its new time namespace at exec: Linux 6.2 and later do")
	limit(t, "refused")
}

// needsClocks skips a test that takes it for granted that clocks can be set this way.
func (s stack) needsClocks(t *testing.T) {
	t.Helper()
	if s.refusedHere() {
		t.Skip("refused on this kernel, as TestSettings shows")
	}
}
