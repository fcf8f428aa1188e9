package plan

import (
	"strings"
	"testing"

	"oci-timens/config"
)

// TestDeniedBriefly has an annotation of another's that a rule is about be as long as
// the engine takes it: what is said of it ends up in logs.
func TestDeniedBriefly(t *testing.T) {
	long := strings.Repeat("\x1b", 10<<20)
	key := strings.Repeat("k", 10<<20)
	c := config.Default()
	c.Policy.Deny = []config.Rule{{Annotation: "k*", Value: "*"}}
	a := ask("", "+1h", func(a *Ask) { a.Annotations, a.Config = map[string]string{key: long}, c })
	_, err := ForBundle(a, Bundle{})
	if err == nil || !strings.HasSuffix(err.Error(), "matches rule 1 of policy.deny") || len(err.Error()) > 4<<10 {
		t.Errorf("%.200v", err)
	}
}
