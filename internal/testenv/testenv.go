// Package testenv tells unit tests what to do without something that they need.
// Tests of containers have finer rules of their own, in integration/.
package testenv

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// Lacks ends a test for lack of a prerequisite: it skips, and where TIMENS_REQUIRE
// lists the prerequisite, or "all", it fails.
func Lacks(t testing.TB, prerequisite string, reason any) {
	t.Helper()
	required := strings.Split(os.Getenv("TIMENS_REQUIRE"), ",")
	if slices.Contains(required, "all") || slices.Contains(required, prerequisite) {
		t.Fatalf("%s is required and missing: %v", prerequisite, reason)
	}
	t.Skipf("%s is missing: %v", prerequisite, reason)
}
