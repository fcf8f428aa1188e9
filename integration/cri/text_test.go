package cri

import "testing"

func TestOutput(t *testing.T) {
	log := "2026-01-02T03:04:05.6Z stdout P half \n" +
		"2026-01-02T03:04:05.7Z stderr F elsewhere\n" +
		"2026-01-02T03:04:05.8Z stdout F a line\n" +
		"2026-01-02T03:04:05.9Z stdout F more\n"
	if got, want := Output(log), "half a line\nmore\n"; got != want {
		t.Errorf("Output = %q, want %q", got, want)
	}
}

func TestPID(t *testing.T) {
	if pid, err := pidOf(map[string]string{"info": `{"sandboxID":"a","pid":42}`}); pid != 42 || err != nil {
		t.Errorf("pidOf = %d, %v", pid, err)
	}
	if _, err := pidOf(nil); err == nil || err.Error() != `no pid in the status ""` {
		t.Errorf("pidOf of nothing: %v", err)
	}
}
