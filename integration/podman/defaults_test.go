package podman

import (
	"strings"
	"testing"
	"time"

	"oci-timens/integration/machine"
	"oci-timens/internal/probe"
)

// once runs a container to its end.
func (s *stand) once(t *testing.T, args ...string) probe.Report {
	t.Helper()
	return machine.Report(t, s.podman(t, with([]string{"run", "--rm"}, args, []string{image, "now"})...))
}

// TestSetDefault makes the shim podman's default runtime: annotations are all that
// it takes.
func TestSetDefault(t *testing.T) {
	for _, r := range releases {
		for _, user := range users {
			t.Run(r.name+"/"+user, func(t *testing.T) {
				t.Parallel()
				s := newStand(t, r, user)
				s.setup(r.runtimes[0], "")
				before := s.files()
				s.configure(t, "--set-default")
				if runtime := s.podman(t, "info", "--format={{.Host.OCIRuntime.Name}} {{.Host.OCIRuntime.Path}}"); runtime != "timens /usr/bin/timens-runc" {
					t.Errorf("podman's default runtime is %q", runtime)
				}
				began := time.Now()
				expectAsked(t, s.once(t, annotate(asked)...), began)
				expectHost(t, "a container without annotations", s.once(t))
				s.buildImage(t)
				s.configure(t, "--remove")
				s.files().Same(t, before)
				expectHost(t, "a container after the removal", s.once(t, annotate(asked)...))
			})
		}
	}
}

// TestAllContainers gives every container the clocks of [defaults], which an
// annotation overrules.
func TestAllContainers(t *testing.T) {
	for _, r := range releases {
		for _, user := range users {
			for _, mode := range modes {
				if mode == "precreate" && !r.precreate {
					continue
				}
				t.Run(r.name+"/"+user+"/"+mode, func(t *testing.T) {
					t.Parallel()
					s := newStand(t, r, user)
					s.setup(r.runtimes[0], "[defaults]\nmonotonic = \"+36h\"\nboottime = \"=0\"\n")
					before := s.files()
					s.configure(t, "--mode", mode, "--all-containers")
					s.testAllContainers(t, mode)
					s.configure(t, "--remove")
					s.files().Same(t, before)
					expectHost(t, "a container after the removal", s.once(t))
				})
			}
		}
	}
}

func (s *stand) testAllContainers(t *testing.T, mode string) {
	began := time.Now()
	s.podman(t, "run", "--detach", "--name=c", image)
	clocks := expectAsked(t, s.report(t, "c", 1), began)
	expectNear(t, "exec", machine.Ahead(t, s.exec(t, "c")), clocks)
	s.podman(t, "rm", "--force", "--time=0", "c")
	own := machine.Ahead(t, s.once(t, "--annotation=io.timens.monotonic=+1h"))
	expectNear(t, "an annotation beside the defaults", machine.Clocks{Monotonic: own.Monotonic}, machine.Clocks{Monotonic: time.Hour})

	// A pod's own container is one without annotations.
	began = time.Now()
	s.podman(t, "run", "--detach", "--pod=new:p", "--name=one", image)
	clocks = expectAsked(t, s.report(t, "one", 1), began)
	time.Sleep(50 * time.Millisecond)
	s.podman(t, "run", "--detach", "--pod=p", "--name=two", image)
	expectNear(t, "the second container of a pod", machine.Ahead(t, s.report(t, "two", 1)), clocks)
	s.podman(t, "pod", "rm", "--force", "--time=0", "p")

	// podman build reads its own hooks directories, of root alone.
	s.buildImage(t)
	step := machine.Report(t, s.podman(t, "run", "--rm", "--entrypoint=/bin/sh", "built", "-c", "cat /built"))
	want := machine.Clocks{}
	if mode == "runtime" || mode == "hook" && s.user == "root" {
		want.Monotonic = offset
	}
	expectNear(t, "a step of a build", machine.Clocks{Monotonic: machine.Ahead(t, step).Monotonic}, want)
}

// TestBeside sets podman up where somebody else has, in the file that is named.
func TestBeside(t *testing.T) {
	t.Parallel()
	const theirs = `# what an administrator wrote
[engine]
hooks_dir = [ "/opt/hooks.d" ]   # of ours
future_key = {a = 1}
`
	s := newStand(t, releases[0], "root")
	s.Write("/etc/containers/containers.conf", theirs, 0o640)
	s.Write("/opt/hooks.d/note.json", `{"version": "1.0.0", "hook": {"path": "/opt/note"}, "when": {"always": true}, "stages": ["createRuntime"]}`, 0o644)
	s.Write("/opt/note", "#!/bin/sh\necho noted >>/run/noted\n", 0o755)
	for _, args := range [][]string{{"--mode=hook"}, {"--mode=hook", "--config=/etc/containers/containers.conf"}} {
		before := s.files()
		diff := s.configure(t, append(args, "--dry-run")...)
		if s.files().Same(t, before); !strings.Contains(diff, "hooks_dir") {
			t.Errorf("--dry-run printed\n%s", diff)
		}
		s.configure(t, args...)
		s.run0(t, "rm", "-f", "/run/noted")
		began := time.Now()
		expectAsked(t, s.once(t, annotate(asked)...), began)
		if noted := s.run0(t, "cat", "/run/noted"); noted != "noted" {
			t.Errorf("the other hook noted %q", noted)
		}
		remove := []string{"--remove"}
		if len(args) > 1 {
			remove = append(remove, args[1])
		}
		s.configure(t, remove...)
		s.files().Same(t, before)
	}
}

// TestImageAnnotations shows where an image's annotations are its containers'.
func TestImageAnnotations(t *testing.T) {
	for i, r := range releases {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			s := newStand(t, r, "root")
			s.configure(t)
			s.Write("/build/Containerfile", "FROM "+image+"\nRUN true\n", 0o644)
			s.podman(t, with([]string{"build", "--quiet", "--tag=annotated"}, annotate(asked), []string{"/build"})...)
			began := time.Now()
			report := machine.Report(t, s.podman(t, "run", "--rm", "annotated", "now"))
			if i == 0 {
				expectAsked(t, report, began)
			} else {
				expectHost(t, "a container of an annotated image", report)
			}
		})
	}
}

// TestRootForAll sets podman up as root, which holds for users as well, and then as
// a user, too: the hook is not run twice.
func TestRootForAll(t *testing.T) {
	for _, r := range releases {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			s := newStand(t, r, "rootless")
			s.setup(r.runtimes[0], "")
			s.run0(t, "timensctl", "configure", "podman")
			began := time.Now()
			expectAsked(t, s.once(t, annotate(asked)...), began)
			s.configure(t)
			s.podman(t, with([]string{"run", "--detach", "--name=c"}, annotate(asked), []string{image})...)
			expectAsked(t, s.report(t, "c", 1), began)
			config := s.run(t, "cat", s.podman(t, "inspect", "--format={{.OCIConfigPath}}", "c"))
			if n := strings.Count(config, `"/usr/libexec/oci/hooks.d/timens-hook"`); n != 2 {
				t.Errorf("config.json names the hook %d times, want once for each of two stages", n)
			}
			// Where it was made for all, a user who removes his own has that.
			s.configure(t, "--remove")
			began = time.Now()
			expectAsked(t, s.once(t, annotate(asked)...), began)
		})
	}
}

// TestRuntimeGone tells of containers that name the runtime which is taken away.
func TestRuntimeGone(t *testing.T) {
	t.Parallel()
	s := newStand(t, releases[1], "root")
	s.setup(s.runtimes[0], "")
	s.configure(t, "--mode=runtime")
	s.podman(t, "run", "--detach", "--runtime=timens", "--name=c", image)
	if said := s.configure(t, "--remove"); !strings.Contains(said, `containers that were made with the runtime "timens" should be removed first: podman can neither enter nor stop them`) {
		t.Errorf("configure --remove said\n%s", said)
	}
	if said := s.podmanFails(t, "exec", "c", "/probe", "now"); !strings.Contains(said, "runtime timens is missing") {
		t.Errorf("podman exec said %q", said)
	}
	s.configure(t, "--mode=runtime")
	s.exec(t, "c")
	s.podman(t, "rm", "--force", "--time=0", "c")
}
