package migration

import (
	"strings"
	"time"
)

// A container may also be stopped, and another one started from its files on the other
// host, which goes on from its clocks. No CRIU is involved.

// keeps is what such a container asks for first: that its clocks be kept in the end.
func keeps(id string) map[string]string {
	return map[string]string{
		"io.timens.monotonic": asked["io.timens.monotonic"], "io.timens.boottime": asked["io.timens.boottime"],
		"io.timens.save": id,
	}
}

// goesOn is what it asks for elsewhere.
func goesOn(from *host, id string) map[string]string {
	key, value, _ := strings.Cut(from.Run("timensctl", "snapshot", "--annotation", "saved:"+id), "=")
	return map[string]string{key: value, "io.timens.save": id}
}

type resumedByHand struct{ *byHand }

func (c resumedByHand) move(from, to *host) {
	from.Run("sh", "-c", "kill "+c.pid(from))
	wait := []string{"sh", "-c", `until "$@" | grep -q '"status": "stopped"'; do sleep 0.05; done`, "sh", "env"}
	from.Run(append(wait, c.command("state", c.id)...)...)
	from.Run(c.command("delete", c.id)...)
	c.annotations = goesOn(from, c.id)
	from.Send(to.Guest, c.dir()+"/bundle/rootfs")
	time.Sleep(away)
	c.run(to)
}

type resumedPodman struct{ *podman }

func (c resumedPodman) move(from, to *host) {
	from.Run("podman", "stop", c.id)
	from.Run("podman", "rm", c.id)
	c.annotations = goesOn(from, c.id)
	from.Send(to.Guest, c.state())
	time.Sleep(away)
	c.start(to)
}
