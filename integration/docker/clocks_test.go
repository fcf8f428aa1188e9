package docker

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"oci-timens/integration/machine"
	"oci-timens/internal/probe"
)

// Annotations that the tests ask for: a container's own uptime, and an offset.
const (
	zeroBoottime = "io.timens.boottime==0"
	dayMonotonic = "io.timens.monotonic=+1d"
	day          = 24 * time.Hour
)

// container is one that runs the probe, as its init saw the clocks when it was
// started last.
type container struct {
	h        *host
	name     string
	starts   int
	from, to time.Duration // CLOCK_BOOTTIME of the machine before and after that
	init     machine.Clocks
	report   probe.Report
}

func bootNow() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic(err)
	}
	return time.Duration(ts.Nano())
}

// run starts a container in the background.
func (h *host) run(name string, options ...string) *container {
	h.t.Helper()
	c := &container{h: h, name: name}
	args := append([]string{"run", "-d", "--name", name}, options...)
	c.begin(append(args, image)...)
	return c
}

// begin runs a docker command that starts the container, and reads what init
// reports.
func (c *container) begin(command ...string) {
	c.h.t.Helper()
	c.from = bootNow()
	c.h.docker(command...)
	c.starts++
	c.h.dockerd.Await(func() error {
		lines := strings.Split(c.h.docker("logs", c.name), "\n")
		if len(lines) < c.starts || !strings.HasSuffix(lines[c.starts-1], "}") {
			return fmt.Errorf("%s has not reported", c.name)
		}
		c.report = machine.Report(c.h.t, lines[c.starts-1])
		return nil
	})
	c.to = bootNow()
	c.init = machine.Ahead(c.h.t, c.report)
}

// once runs a container in the foreground until it has reported, and removes it. It stays
// until then: of one that ends at once the output may be lost on a busy machine. dockerd
// 2.0.0-beta.24 then says "copy stream failed: reading from a closed fifo".
func (h *host) once(name string, options ...string) (report string, err error) {
	ctx, cancel := context.WithTimeout(h.t.Context(), machine.Limit)
	defer cancel()
	docker := append(slices.Clone(h.as), "docker")
	cmd := h.Command(ctx, append(slices.Concat(docker, []string{"run", "--rm", "--name", name}, options), image, "hold")...)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	report, err = bufio.NewReader(out).ReadString('\n')
	if err == nil {
		_, err = h.Try(append(docker, "kill", "--signal=TERM", name)...)
	}
	if err := errors.Join(err, cmd.Wait()); err != nil {
		return "", fmt.Errorf("%s: %w\n%s", name, err, said.String())
	}
	return report, nil
}

// exec are the clocks of a process that docker exec starts.
func (c *container) exec() machine.Clocks {
	c.h.t.Helper()
	return machine.Ahead(c.h.t, machine.Report(c.h.t, c.h.docker("exec", c.name, "/probe", "now")))
}

// checkAsked checks that init has what zeroBoottime and dayMonotonic ask for:
// its boottime was zero when it was started.
func (c *container) checkAsked() {
	c.h.t.Helper()
	const tick = 10 * time.Millisecond // the hook rounds down to one
	if b := -c.init.Boottime; b < c.from-2*tick || b > c.to {
		c.h.t.Errorf("%s: boottime was zero at %v, not between %v and %v", c.name, b, c.from, c.to)
	}
	if !c.init.Near(machine.Clocks{Monotonic: day, Boottime: c.init.Boottime}) {
		c.h.t.Errorf("%s: clocks are ahead by %+v, monotonic not by a day", c.name, c.init)
	}
	if c.report.StartTime < 0 || time.Duration(c.report.StartTime) > c.to-c.from {
		c.h.t.Errorf("%s: its init was started at %v", c.name, time.Duration(c.report.StartTime))
	}
}

// checkHost checks that init has the machine's clocks, in its own time namespace
// only where the engine makes one.
func (c *container) checkHost() {
	c.h.t.Helper()
	if !c.init.Near(machine.Clocks{}) {
		c.h.t.Errorf("%s: clocks are ahead by %+v", c.name, c.init)
	}
	here, err := probe.Read()
	if err != nil {
		c.h.t.Fatal(err)
	}
	if private := c.report.TimeNamespace != here.TimeNamespace; private != c.h.engine.timeNamespaces {
		c.h.t.Errorf("%s: a time namespace of its own: %v", c.name, private)
	}
}

// checkExec checks that docker exec sees init's clocks, or the machine's where the
// low-level runtime cannot join. It returns what the tables say.
func (c *container) checkExec() string {
	c.h.t.Helper()
	want, text := c.init, ""
	if !c.h.low.exec {
		want, text = machine.Clocks{}, "**host's clocks**"
	}
	if got := c.exec(); !got.Near(want) {
		c.h.t.Errorf("%s: exec sees clocks ahead by %+v, init by %+v", c.name, got, c.init)
	}
	return text
}

// checkInspect checks that Docker still knows the annotations, and that timensctl
// tells the clocks that init has.
func (c *container) checkInspect() {
	c.h.t.Helper()
	var of struct {
		ID         string `json:"Id"`
		HostConfig struct{ Annotations map[string]string }
	}
	c.decode(&of, "docker", "inspect", "-f", "{{json .}}", c.name)
	for _, a := range []string{zeroBoottime, dayMonotonic} {
		if k, v, _ := strings.Cut(a, "="); of.HostConfig.Annotations[k] != v {
			c.h.t.Errorf("%s: docker inspect says annotations %v", c.name, of.HostConfig.Annotations)
		}
	}
	for _, id := range []string{of.ID, of.ID[:12]} {
		var v struct {
			Container            string
			Offsets              struct{ Monotonic, Boottime json.RawMessage }
			HostClocks, Clocks   struct{ Monotonic, Boottime time.Duration }
			ProcessesInNamespace int
		}
		c.decode(&v, "timensctl", "inspect", "-o", "json", id)
		got := machine.Clocks{Monotonic: v.Clocks.Monotonic - v.HostClocks.Monotonic, Boottime: v.Clocks.Boottime - v.HostClocks.Boottime}
		if !got.Near(c.init) || v.Container != of.ID {
			c.h.t.Errorf("%s: timensctl inspect says %+v, init has %+v", c.name, v, c.init)
		}
	}
}

func (c *container) decode(into any, command ...string) {
	c.h.t.Helper()
	out := c.h.Run(slices.Concat(c.h.as, command)...)
	if err := json.Unmarshal([]byte(out), into); err != nil {
		c.h.t.Fatalf("%s: %v in %s", strings.Join(command, " "), err, out)
	}
}

// waitFor is an error until text ends as it is to.
func waitFor(text, suffix string) (string, error) {
	if text = strings.TrimSpace(text); !strings.HasSuffix(text, suffix) {
		return text, fmt.Errorf("%q does not end with %q", text, suffix)
	}
	return text, nil
}
