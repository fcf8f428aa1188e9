package engine

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Docker's versions: --annotation came with 24.0 (API 1.43, docker/cli pull request
// 4156), CDI devices with 25.0; up to 28.1 CDI has to be enabled by the key features.cdi
// (cmd/dockerd/daemon.go in moby v25.0.0 to v28.1.0, and cdiEnabled in v28.2.0).
var (
	dockerAnnotations = [2]int{24, 0}
	dockerDevices     = [2]int{25, 0}
	dockerCDI         = [2]int{28, 2}
)

// dockerConf is what matters here of daemon.json.
type dockerConf struct {
	Runtimes map[string]struct {
		Path string `json:"path"`
	} `json:"runtimes"`
	Default  string          `json:"default-runtime"`
	Features map[string]bool `json:"features"`
	Dirs     []string        `json:"cdi-spec-dirs"`
}

func (p *planner) dockerRead() (c dockerConf, err error) {
	data, err := p.fs.read(p.dockerFile())
	if err != nil {
		return c, err
	}
	d, err := parseJSON(p.dockerFile(), data)
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(d.bytes(), &c); err != nil {
		return c, fmt.Errorf("%s: %w", p.dockerFile(), err)
	}
	return c, nil
}

// dockerRuntimePath names the low-level runtime of containers that name none, which is
// runc unless daemon.json has another one; "" is what the shim finds.
func (p *planner) dockerRuntimePath() string {
	c, err := p.dockerRead()
	if err != nil || c.Default == "" {
		return "runc"
	}
	switch path := c.Runtimes[c.Default].Path; {
	case isOurs(path, shimProgram):
		return ""
	case path != "":
		return path
	}
	return c.Default
}

func (p *planner) dockerFile() string {
	switch {
	case p.Config != "":
		return p.Config
	case p.Rootless:
		return p.h.ConfigHome + "/docker/daemon.json"
	}
	return "/etc/docker/daemon.json"
}

func (p *planner) docker() error {
	conf := p.dockerFile()
	old := p.version.before(dockerAnnotations[0], dockerAnnotations[1])
	if old {
		p.note("Docker %s has no --annotation (24 is the first): what its containers get is [defaults] in /etc/oci-timens/config.toml, with --all-containers or --runtime %s", p.version.text, runtimeName)
	}
	if p.out.Mode == ModeCDI {
		return p.dockerDevice(conf)
	}
	shim, err := p.program("timens-runc", "--shim", p.Shim)
	if err != nil {
		return err
	}
	own := p.dockerRuntimePath()
	if err := p.fs.edit(conf, formatJSON, "", func(e *editor) error { return p.dockerRuntime(e, shim) }); err != nil {
		return err
	}
	p.shimNote(own)
	p.out.Restart = strings.Replace(p.out.Restart, "Restart Docker: systemctl restart docker", "Let Docker read it: systemctl reload docker (containers go on running)", 1)
	p.out.Restart = strings.Replace(p.out.Restart, "Restart Docker: systemctl --user restart docker", "Let Docker read it: systemctl --user reload docker (containers go on running)", 1)
	option := "--runtime " + runtimeName + " "
	if p.SetDefault {
		option = ""
		p.note("dockerd does not start if its command line has --default-runtime too: take that out there")
	}
	if p.AllContainers {
		p.note("containers without annotations get the clocks of [defaults] in /etc/oci-timens/config.toml")
	}
	if old {
		p.out.Try = append(p.out.Try, "docker run --rm "+option+"busybox uptime")
	} else {
		p.out.Try = append(p.out.Try, "docker run --rm "+option+"--annotation io.timens.boottime==0 busybox uptime")
	}
	return nil
}

func (p *planner) dockerRuntime(e *editor, shim string) error {
	is, found, err := e.get([]string{"runtimes", runtimeName})
	if err != nil {
		return err
	}
	want := map[string]any{"path": shim}
	if found && !sameText(is, strings.TrimSpace(indentJSON(want))) {
		return fmt.Errorf("%s: the runtime %q is there already, and was not written by timensctl: %s; remove it first", e.name, runtimeName, is)
	}
	if !found {
		if err := e.set(want, "runtimes", runtimeName); err != nil {
			return err
		}
	}
	if p.SetDefault {
		if c, err := p.dockerRead(); err == nil {
			p.defaultNote(c.Default)
		}
		return e.set(runtimeName, "default-runtime")
	}
	return nil
}

func (p *planner) dockerDevice(conf string) error {
	if p.version.before(dockerDevices[0], dockerDevices[1]) {
		return fmt.Errorf("docker %s knows no CDI devices, 25 is the first that does: use --mode=runtime", p.version.text)
	}
	hook, err := p.program("timens-hook", "--hook", p.Hook)
	if err != nil {
		return err
	}
	dir := "/etc/cdi"
	if p.Rootless {
		dir = p.h.ConfigHome + "/cdi"
	}
	if err := p.fs.put(dir+"/"+cdiFile, cdiSpec(hook)); err != nil {
		return err
	}
	p.hookNote(p.dockerRuntimePath())
	p.out.Try = append(p.out.Try, fmt.Sprintf("docker run --rm --device %s=%s --annotation io.timens.boottime==0 busybox uptime", cdiKind, cdiDevice))
	enable := !p.version.atLeast(dockerCDI[0], dockerCDI[1])
	data, err := p.fs.read(conf)
	if err != nil {
		return err
	}
	if !enable && (!p.Rootless || p.dockerUserDir()) && (data == nil || !strings.Contains(string(data), "cdi")) {
		p.out.Restart = "Nothing needs to be restarted: Docker reads CDI files at each start of a container."
		return nil
	}
	return p.fs.edit(conf, formatJSON, "", func(e *editor) error { return p.dockerEnable(e, enable, dir) })
}

// dockerUserDir reports whether a rootless dockerd reads the user's own CDI files by
// itself (daemon/command/daemon.go in moby: docker-v29.2.0 does, v29.1.0 does not).
func (p *planner) dockerUserDir() bool { return p.version.atLeast(29, 2) }

// dockerEnable makes dockerd read CDI files, and those of the user.
func (p *planner) dockerEnable(e *editor, enable bool, dir string) error {
	is, found, err := e.get([]string{"features", "cdi"})
	if err != nil {
		return err
	}
	if is != "true" && (enable || found) {
		if err := e.set(true, "features", "cdi"); err != nil {
			return err
		}
		p.note("features.cdi is set in %s: Docker before 28.2 reads CDI files only then", e.name)
	}
	dirs, found, err := e.get([]string{"cdi-spec-dirs"})
	switch {
	case err != nil:
		return err
	case found && !strings.Contains(dirs, `"`+dir+`"`):
		return fmt.Errorf("%s: \"cdi-spec-dirs\" is %s, without %q: add it there", e.name, dirs, dir)
	case !found && p.Rootless && !p.dockerUserDir():
		return e.set([]string{"/etc/cdi", "/var/run/cdi", dir}, "cdi-spec-dirs")
	}
	return nil
}
