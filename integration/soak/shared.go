package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"oci-timens/internal/probe"
)

// chain is what containers have read whose clocks are kept under one name.
type chain struct {
	name string
	last *probe.Report
}

// kept runs a container that goes on with the clocks of one before it.
func (l *life) kept() error {
	ch := <-l.s.kept
	defer func() { l.s.kept <- ch }()
	c := l.newContainer(asks{annotations: map[string]string{
		"io.timens.save": ch.name, "io.timens.resume": "saved-or-new:" + ch.name,
		"io.timens.monotonic": "=1h", "io.timens.boottime": "+400d",
	}})
	if err := c.write(); err != nil {
		return err
	}
	r, err := c.run()
	if err != nil {
		return err
	}
	if ch.last == nil {
		c.asks.mono, c.asks.boot = wish{true, true, time.Hour}, wish{true, false, 400 * day}
		err = c.judge(r)
	} else {
		l.s.seen()
		err = goesOn(*ch.last, r)
	}
	ch.last = &r
	return err
}

// goesOn compares what two containers have read one after the other: CLOCK_MONOTONIC has
// gone on for some of the time, and CLOCK_BOOTTIME for all of it.
func goesOn(before, after probe.Report) (err error) {
	const exact = int64(10 * time.Millisecond) // on a busy machine; mostly, a microsecond
	mono := span{after.Monotonic.VDSO - before.Monotonic.VDSOAfter, after.Monotonic.VDSOAfter - before.Monotonic.VDSO}
	if passed := after.Monotonic.Realtime - before.Monotonic.Realtime; mono.hi < 0 || mono.lo > passed {
		err = fmt.Errorf("CLOCK_MONOTONIC has gone on by %v in %v", mono, time.Duration(passed))
	}
	boot := span{after.Boottime.VDSO - before.Boottime.VDSOAfter, after.Boottime.VDSOAfter - before.Boottime.VDSO}
	if passed := after.Boottime.Realtime - before.Boottime.Realtime; !boot.widened(exact).holds(passed) {
		err = errors.Join(err, fmt.Errorf("CLOCK_BOOTTIME has gone on by %v in %v", boot, time.Duration(passed)))
	}
	return err
}

// pod starts a sandbox, and two containers at once that join it: they have one set of clocks.
func (l *life) pod() error {
	id := fmt.Sprintf("pod-%d", l.number)
	box := l.newContainer(asks{annotations: map[string]string{"io.kubernetes.cri.container-type": "sandbox", "io.kubernetes.cri.sandbox-id": id}}, "hold")
	box.spec.Linux.Namespaces = append(box.spec.Linux.Namespaces, specs.LinuxNamespace{Type: specs.NetworkNamespace})
	asked := map[string]string{"io.timens.monotonic": "=1h", "io.timens.boottime": "=0"}
	if l.rand.IntN(2) == 0 { // as with containerd, and not with podman
		for k, v := range asked {
			box.asks.annotations[k] = v
		}
		box.asks.mono, box.asks.boot = wish{true, true, time.Hour}, wish{asked: true, reads: true}
	}
	if err := box.write(); err != nil {
		return err
	}
	if err := box.start(); err != nil {
		return err
	}
	var members [2]*container
	for i := range members {
		members[i] = l.member(box, id, fmt.Sprint(i), asked)
	}
	var wg sync.WaitGroup
	var errs [2]error
	for i, m := range members {
		wg.Go(func() { errs[i] = m.join() })
	}
	wg.Wait()
	err := errors.Join(errs[:]...)
	if err == nil {
		err = oneSet(box, members)
	}
	for _, c := range []*container{members[0], members[1], box} {
		if err == nil {
			err = c.killAndDelete()
		}
	}
	return err
}

// member is a container that joins the namespaces of a sandbox.
func (l *life) member(box *container, pod, name string, asked map[string]string) *container {
	m := l.newContainer(asks{annotations: map[string]string{
		"io.kubernetes.cri.container-type": "container", "io.kubernetes.cri.container-name": name, "io.kubernetes.cri.sandbox-id": pod,
	}}, "hold")
	for k, v := range asked {
		m.asks.annotations[k] = v
	}
	m.asks.mono, m.asks.boot = wish{true, true, time.Hour}, wish{asked: true, reads: true}
	for i, ns := range m.spec.Linux.Namespaces {
		if file, ok := map[specs.LinuxNamespaceType]string{specs.IPCNamespace: "ipc", specs.UTSNamespace: "uts"}[ns.Type]; ok {
			m.spec.Linux.Namespaces[i].Path = fmt.Sprintf("/proc/%d/ns/%s", box.pid, file)
		}
	}
	m.spec.Linux.Namespaces = append(m.spec.Linux.Namespaces, specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: fmt.Sprintf("/proc/%d/ns/net", box.pid)})
	// What was settled for all of the pod was so from the sandbox' creation on.
	m.since = &box.before
	return m
}

func (c *container) join() error {
	if err := c.write(); err != nil {
		return err
	}
	return c.start()
}

// oneSet has the kernel hold the same offsets for the containers of a pod, to the nanosecond.
func oneSet(box *container, members [2]*container) error {
	var held []string
	for _, c := range []*container{members[0], members[1], box} {
		text, err := os.ReadFile(filepath.Join("/proc", fmt.Sprint(c.pid), "timens_offsets"))
		if err != nil {
			return err
		}
		held = append(held, strings.Join(strings.Fields(string(text)), " "))
	}
	if held[0] != held[1] || box.asks.boot.asked && held[2] != held[0] {
		return fmt.Errorf("the containers of a pod have %q, and its sandbox %q", held[:2], held[2])
	}
	return nil
}
