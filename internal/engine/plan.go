package engine

import (
	"fmt"
	"path/filepath"
	"slices"

	"oci-timens/internal/plan"
)

// planner decides what is to be where.
type planner struct {
	Options
	h       *Host
	fs      *overlay
	out     *Result
	version version
}

// assumed is what holds of an engine that does not tell its version.
var assumed = map[string]string{
	Podman:     "podman 4.6 or later",
	Docker:     "Docker 25 or later, with CDI to be enabled",
	Containerd: "a containerd that reads configuration files of version 2",
	CRIO:       "CRI-O 1.24 or later",
}

// unknownFrom are the first versions of which nothing was known when this was written.
var unknownFrom = map[string][2]int{Podman: {6, 0}, Docker: {30, 0}, Containerd: {2, 5}, CRIO: {1, 37}}

func (p *planner) plan() error {
	line := p.h.Ask(p.Engine)
	p.version = parseVersion(line)
	switch {
	case !p.version.found:
		p.out.Version = "not installed"
		p.note("%s was not found on this machine: this is written for %s, and takes effect once it is installed", p.Engine, assumed[p.Engine])
	case !p.version.known():
		p.out.Version = "of unknown version"
		says := fmt.Sprintf("says %q to --version", line)
		if line == noAnswer {
			says = "does not answer to --version"
		}
		p.note("%s %s: %s is assumed", p.Engine, says, assumed[p.Engine])
	default:
		p.out.Version = p.version.text
		if u := unknownFrom[p.Engine]; p.version.atLeast(u[0], u[1]) {
			p.note("%s %s is newer than any that is known here: what holds before %d.%d is assumed", p.Engine, p.version.text, u[0], u[1])
		}
	}
	if err := p.h.Kernel.TimeNamespaces; err != nil {
		p.note("this kernel cannot give containers their clocks, which then are refused: %v", err)
	}
	if err := p.choose(); err != nil {
		return err
	}
	p.restart()
	switch p.Engine {
	case Podman:
		return p.podman()
	case Docker:
		return p.docker()
	case Containerd:
		return p.containerd()
	}
	return p.crio()
}

func (p *planner) note(format string, args ...any) {
	p.out.Notes = append(p.out.Notes, fmt.Sprintf(format, args...))
}

// has lists the modes of an engine, and why it lacks the others.
var lacks = map[string]map[string]string{
	Podman: {
		ModeCDI: "with podman, hooks need no device; the device that \"timensctl configure docker --mode=cdi\" describes in /etc/cdi is one for podman, too",
	},
	Docker: {
		ModeHook:      "Docker reads no hooks directory; a CDI device can carry the hook: --mode=cdi",
		ModePrecreate: "Docker has no precreate stage: --mode=runtime puts the shim in the same place",
	},
	Containerd: {
		ModeHook:      "containerd reads no hooks directory; use --mode=runtime",
		ModePrecreate: "containerd has no precreate stage: --mode=runtime puts the shim in the same place",
		ModeCDI:       "CDI devices get the hook, but no annotations of the pod, into a container; use --mode=runtime",
	},
	CRIO: {
		ModePrecreate: "CRI-O knows no precreate stage and does not start when it finds such a hook; use --mode=hook or --mode=runtime",
		ModeCDI:       "hooks need no device with CRI-O; use --mode=hook",
	},
}

// choose finds the mode, unless it is given, and the reason for it.
func (p *planner) choose() error {
	p.out.Mode, p.out.Reason = p.Mode, "as asked"
	if p.Mode == "" {
		p.out.Mode, p.out.Reason = p.best()
	}
	if why := lacks[p.Engine][p.out.Mode]; why != "" {
		return fmt.Errorf("%s has no mode %q: %s", p.Engine, p.out.Mode, why)
	}
	if p.AllContainers && p.out.Mode == ModeCDI {
		return fmt.Errorf("--all-containers: a CDI device is for containers that name it; use --mode=runtime, which makes the shim the default runtime")
	}
	if p.AllContainers && p.out.Mode == ModeRuntime {
		p.SetDefault = true
	}
	return nil
}

func (p *planner) best() (mode, why string) {
	switch {
	case p.SetDefault:
		return ModeRuntime, "the one with a default runtime to set"
	case p.Engine == Docker && p.version.before(dockerDevices[0], dockerDevices[1]):
		return ModeRuntime, "Docker before 25 has no CDI devices"
	case p.Engine == Docker:
		return ModeRuntime, "it needs no device to be named, and works on every kernel with time namespaces"
	case p.Engine == Containerd:
		return ModeRuntime, "the one way of containerd"
	case p.Engine == CRIO && p.AllContainers:
		return ModeRuntime, "the shim as default runtime reaches every pod, as hooks of --mode=hook would"
	case p.Engine == CRIO:
		return ModeRuntime, "it reaches only pods that name the handler; --mode=hook reaches all that have annotations"
	}
	r, err := p.h.LowLevel(p.podmanRuntime())
	switch {
	case p.h.Kernel.ExecSwitch == nil:
		return ModeHook, "podman then needs no --runtime, and this kernel moves the init of any low-level runtime"
	case err == nil && r.Name == "crun":
		return ModeHook, fmt.Sprintf("podman then needs no --runtime, and the init of %v has one thread, which can be moved on this kernel", r)
	case err != nil:
		return ModeRuntime, "on this kernel the hook serves crun alone, and podman's low-level runtime is not known"
	}
	return ModeRuntime, fmt.Sprintf("on this kernel the hook cannot serve %v: its init has several threads", r)
}

// restart fills in what is to be restarted.
func (p *planner) restart() {
	switch p.Engine {
	case Podman:
		p.out.Restart = "Nothing needs to be restarted: podman reads its configuration at each start of a container."
		if !p.Rootless {
			p.out.Restart += " Only a podman service that is running has to be: systemctl try-restart podman"
		}
	case Docker:
		p.out.Restart = "Restart Docker: systemctl restart docker"
		if p.Rootless {
			p.out.Restart = "Restart Docker: systemctl --user restart docker"
		}
	case Containerd:
		p.out.Restart = "Restart containerd: systemctl restart containerd (containers go on running)"
	case CRIO:
		p.out.Restart = "Restart CRI-O: systemctl restart crio (containers go on running)"
	}
}

// hookNote is about what the low-level runtime cannot do when the hook shifts its
// containers.
func (p *planner) hookNote(name string) {
	r, err := p.h.LowLevel(name)
	if err != nil {
		return
	}
	if r.Name == "runc" && p.h.Kernel.ExecSwitch != nil && !r.Native() {
		p.note("%v on this kernel: containers that ask for clocks are refused, because its init has several threads; use crun, or runc 1.2.6 or later with --mode=runtime", r)
	} else if reason := execReason(r); reason != "" {
		p.note("%s", reason)
	}
}

// leftBehind says what becomes of containers that name a runtime which goes. The tests
// of podman, Docker and containerd see it.
var leftBehind = map[string]string{
	Podman:     `containers that were made with the runtime "timens" should be removed first: podman can neither enter nor stop them without it`,
	Docker:     `containers that were made with the runtime "timens" cannot be started any more: make them again`,
	Containerd: `pods of the runtime handler "timens" should be removed first: nothing can be made in them without it, and containerd 2 cannot enter them`,
	CRIO:       `pods of the runtime handler "timens" should be removed first: CRI-O may not be able to manage them without it`,
}

// shimNote is for a shim that takes the place of an engine's own low-level runtime.
func (p *planner) shimNote(own string) {
	r, err := p.h.LowLevel("")
	if err != nil {
		return
	}
	if reason := execReason(r); reason != "" {
		p.note("%s", reason)
	}
	if other, err := p.h.LowLevel(own); err == nil && other != r && own != "" {
		p.note("the shim starts %v, where %s itself starts %v: to keep that, name it first under \"runtimes\" in /etc/oci-timens/config.toml", r, p.Engine, other)
	}
}

// execReason says why what is run later in a container sees other clocks, or "".
func execReason(r plan.Runtime) string {
	if r.Name == "runc" && !r.Native() {
		return fmt.Sprintf("%v cannot join a time namespace: what is run by exec sees the host's clocks; runc 1.2.6 and later, and crun, can", r)
	}
	return ""
}

// defaultNote is about a default runtime that is more than a low-level one, or other
// isolation: with --set-default it is not that any more.
func (p *planner) defaultNote(before string) {
	if p.SetDefault && before != "" && !slices.Contains([]string{"runc", "crun", runtimeName}, filepath.Base(before)) {
		p.note("the default runtime was %q: what names none is no longer run by that", before)
	}
}

// lowLevelNote is about the low-level runtime that an engine's default handler names:
// ours is run in its place, and finds another one by itself.
func (p *planner) lowLevelNote(path string) {
	if path == "" || isOurs(path, shimProgram) {
		return
	}
	r, err := p.h.LowLevel("")
	usual := []string{".", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"}
	if err == nil && r.Name == filepath.Base(path) && slices.Contains(usual, filepath.Dir(path)) {
		return
	}
	p.note("the default handler of %s runs %s; the shim looks in PATH for runc and crun: name that by the key runtimes of /etc/oci-timens/config.toml", p.Engine, path)
}
