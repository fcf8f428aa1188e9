package integration

import (
	"os"
	"strings"
	"testing"
)

// requireEnv lists, with commas, the prerequisites whose absence is a failure
// and no reason to skip, or "all".
const requireEnv = "TIMENS_REQUIRE"

// require skips a test for lack of a prerequisite, or fails it where that must be
// there. problem says what is missing; "" is nothing.
func require(t *testing.T, prerequisite, problem string) {
	t.Helper()
	if problem == "" {
		return
	}
	for name := range strings.SplitSeq(os.Getenv(requireEnv), ",") {
		if name == "all" || name == prerequisite {
			t.Fatalf("%s is required and missing: %s", prerequisite, problem)
		}
	}
	t.Skipf("%s is missing: %s", prerequisite, problem)
}

// missing is the problem of a file that is not there.
func missing(path string) string {
	if _, err := os.Stat(path); err != nil {
		return err.Error()
	}
	return ""
}
