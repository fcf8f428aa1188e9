package podman

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// watched are the programs that are started with containers.
var watched = map[string]string{
	"hook": "/usr/libexec/oci/hooks.d/timens-hook",
	"shim": "/usr/bin/timens-runc",
}

// watch notes the arguments with which a program is started, and has it started all
// the same.
func (s *stand) watch(t *testing.T, path string) {
	s.run0(t, "mv", path, path+".real")
	s.Write(path, `#!/bin/sh
echo "$@" >>/run/started
exec `+path+`.real "$@"
`, 0o755)
}

// started returns what was noted since the last time, and waits for commands that
// are to come when podman itself has ended.
func (s *stand) started(t *testing.T, want int) (list []string) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		out := s.run0(t, "sh", "-c", "touch /run/started; cat /run/started")
		if list = strings.Split(out, "\n"); out != "" && len(list) >= want || want == 0 {
			break
		}
	}
	s.run0(t, "rm", "/run/started")
	return slices.DeleteFunc(list, func(line string) bool { return line == "" })
}

// TestNothingRuns shows what a configured podman costs containers without
// annotations: by hook no process of ours is started for them, whatever happens to
// them, and by shim one for each command of the runtime, which becomes the runtime.
func TestNothingRuns(t *testing.T) {
	for _, r := range releases {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			s := newStand(t, r, "root")
			s.setup(r.runtimes[0], "")
			for _, path := range watched {
				s.watch(t, path)
			}
			live := func() {
				s.podman(t, "run", "--detach", "--name=c", image)
				s.exec(t, "c")
				s.podman(t, "rm", "--force", "--time=0", "c")
			}
			modes := []string{"hook"}
			if r.precreate {
				modes = append(modes, "precreate")
			}
			for _, mode := range modes {
				s.configure(t, "--mode", mode)
				live()
				if list := s.started(t, 0); len(list) > 0 {
					t.Errorf("mode %s: %q was started for a container without annotations", mode, list)
				}
				// That it would have been noticed: a shell between runtime and hook is
				// no runtime, so that the hook refuses.
				s.command(with([]string{"podman", "run", "--rm"}, annotate(asked), []string{image, "now"})...)
				if list := s.started(t, 1); len(list) == 0 {
					t.Errorf("mode %s: nothing was started for a container with annotations", mode)
				}
			}
			s.configure(t, "--set-default")
			live()
			commands := map[string]int{}
			for _, line := range s.started(t, 5) {
				for word := range strings.FieldsSeq(line) {
					if slices.Contains([]string{"create", "start", "exec", "kill", "delete"}, word) {
						commands[word]++
						break
					}
				}
			}
			if commands["create"] != 1 || commands["start"] != 1 || commands["exec"] != 1 || commands["delete"] != 1 {
				t.Errorf("the shim was started for %v", commands)
			}
		})
	}
}
