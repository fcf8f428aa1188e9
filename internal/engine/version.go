package engine

import (
	"fmt"
	"strings"
)

// version is that of an engine.
type version struct {
	text  string // "" when it is not known
	parts [2]int
	found bool // the engine is installed
}

// parseVersion reads what an engine says to --version: "podman version 4.3.1",
// "Docker version 26.1.5+dfsg1, build a72d7cd", "containerd
// github.com/containerd/containerd v2.4.2 abc". The first word that looks like a
// version is it.
func parseVersion(line string) version {
	v := version{found: line != ""}
	for word := range strings.FieldsSeq(line) {
		word = strings.TrimRight(strings.TrimPrefix(word, "v"), ",")
		n, err := fmt.Sscanf(word, "%d.%d", &v.parts[0], &v.parts[1])
		if err == nil && n == 2 {
			v.text = word
			return v.checked(line)
		}
	}
	v.parts = [2]int{}
	return v
}

func (v version) known() bool { return v.text != "" }

// atLeast reports whether v is known to be that version or a later one.
func (v version) atLeast(major, minor int) bool {
	return v.known() && (v.parts[0] > major || v.parts[0] == major && v.parts[1] >= minor)
}

// before reports whether v is known to come before that version.
func (v version) before(major, minor int) bool { return v.known() && !v.atLeast(major, minor) }

// checked takes the version of moby's Go module, which dockerd tells when it was built
// as such, for none: Docker itself never had a version from 2 to 16.
func (v version) checked(line string) version {
	if strings.HasPrefix(line, "Docker") && v.parts[0] > 1 && v.parts[0] < 17 {
		return version{found: true}
	}
	return v
}
