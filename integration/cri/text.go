package cri

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// pidOf reads the "info" of a verbose status: JSON with a pid in it, as containerd and
// CRI-O write it.
func pidOf(info map[string]string) (int, error) {
	var v struct {
		PID int `json:"pid"`
	}
	if err := json.Unmarshal([]byte(info["info"]), &v); err != nil || v.PID == 0 {
		return 0, fmt.Errorf("no pid in the status %q", info["info"])
	}
	return v.PID, nil
}

// handlersOf reads the "config" of a verbose status, as containerd writes it.
func handlersOf(info map[string]string) ([]string, error) {
	var v struct {
		Containerd struct {
			Runtimes map[string]any `json:"runtimes"`
		} `json:"containerd"`
	}
	if err := json.Unmarshal([]byte(info["config"]), &v); err != nil {
		return nil, fmt.Errorf("the configuration in the status: %w", err)
	}
	return slices.Collect(maps.Keys(v.Containerd.Runtimes)), nil
}

// Output is what a container wrote to its standard output, from the text of its log: lines
// of time, stream, F for a full line or P for a part, and what was written.
func Output(log string) string {
	var b strings.Builder
	for line := range strings.Lines(log) {
		fields := strings.SplitN(line, " ", 4)
		if len(fields) != 4 || fields[1] != "stdout" {
			continue
		}
		if text := fields[3]; fields[2] == "P" {
			b.WriteString(strings.TrimSuffix(text, "\n"))
		} else {
			b.WriteString(text)
		}
	}
	return b.String()
}
