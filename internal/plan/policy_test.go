package plan

import (
	"strings"
	"testing"

	"oci-timens/config"
	"oci-timens/spec"
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

// crunKey has a container ask by the key that crun itself may obey.
func crunKey(a *Ask) { a.Annotations[spec.KeyCrun] = "boottime 7200 0" }

// TestObeyed has the policy ignore what crun does by itself all the same.
func TestObeyed(t *testing.T) {
	time := spec.TimeSpec{Present: true}
	for name, tt := range map[string]struct {
		b       Bundle
		refused bool
	}{
		"crun":                   {Bundle{Runtime: Runtime{"crun", "1.8.1"}, Time: time, HookPath: "/h"}, true},
		"crun, which drops that": {Bundle{Runtime: Runtime{"crun", "1.8.1"}, HookPath: "/h"}, false},
		"runc":                   {Bundle{Runtime: Runtime{"runc", "1.5.2"}, Time: time}, false},
	} {
		_, err := ForBundle(ask("", "+2h", crunKey, policy(ignoring), policy(func(p *config.Policy) { p.Clocks = nil })), tt.b)
		if refused := err != nil && strings.Contains(err.Error(), "this is not ignored, as policy.on-denied says"); refused != tt.refused || !refused && err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
