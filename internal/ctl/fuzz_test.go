package ctl

import (
	"encoding/json"
	"strings"
	"testing"
)

// FuzzChanges: two documents differ by nothing exactly if they say the same, and each
// difference is told in one line for each.
func FuzzChanges(f *testing.F) {
	f.Add([]byte(`{"linux":{"namespaces":[{"type":"pid"}]}}`), []byte(`{"linux":{"namespaces":[{"type":"pid"},{"type":"time"}],"timeOffsets":{}}}`))
	f.Add([]byte(`[1,1.0,null]`), []byte(`[1.0,1]`))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		if list, err := changes(a, a); err == nil && len(list) > 0 {
			t.Errorf("%s differs from itself by %q", a, list)
		}
		there, err1 := changes(a, b)
		back, err2 := changes(b, a)
		if (err1 == nil) != (err2 == nil) || len(there) != len(back) {
			t.Errorf("%s and %s: %q, %v, and the other way %q, %v", a, b, there, err1, back, err2)
		}
		for _, c := range there {
			lines := strings.Count(c.String(), "\n")
			if path, _ := json.Marshal(c.path); lines < 1 || lines > 2 && !strings.Contains(string(path), `\n`) {
				t.Errorf("%q is told by %q", c.path, c.String())
			}
		}
	})
}
