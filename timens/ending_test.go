package timens

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// TestReadOffsetsOfEnded asks about a process that has ended, and that nobody has waited
// for: there is a file for it, with nothing in it.
func TestReadOffsetsOfEnded(t *testing.T) {
	requireRoot(t)
	v := startVictim(t, "read", nil)
	if err := v.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	stat := fmt.Sprintf("/proc/%d/stat", v.Process.Pid)
	for range 1000 {
		if text, err := os.ReadFile(stat); err != nil || strings.Contains(string(text), ") Z ") {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if _, err := ReadOffsets(v.Process.Pid); !errors.Is(err, os.ErrProcessDone) {
		t.Error(err)
	}
}
