package k8s

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"oci-timens/integration/machine"
	"oci-timens/internal/testenv"
)

var (
	serve   = flag.String("serve", "", "start a cluster whose pods get clocks by this way, NRI or RuntimeClass, until interrupted")
	rounds  = flag.Int("rounds", 0, "measure instead of testing: rounds of each way to create pods")
	many    = flag.Int("pods", 100, "pods that are created at once")
	only    = flag.String("only", "", "measure only the ways whose name has this in it")
	churned = flag.Int("churn", 0, "measure instead of testing: pods that are created and deleted in all")
)

func TestMain(m *testing.M) {
	code := machine.Main(m)
	if err := writeMatrix(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

func lacks(t testing.TB, what string, reason any) { t.Helper(); testenv.Lacks(t, what, reason) }

// eventually waits until something is so.
func eventually(t testing.TB, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !so(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not so after a minute: %s", what)
		}
	}
}
