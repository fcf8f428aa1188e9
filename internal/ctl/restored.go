package ctl

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"oci-timens/internal/criu"
	"oci-timens/timens"
)

// restored is how the clocks of a container went on that the shim has restored.
type restored struct {
	Images        string        `json:"images"`
	Gap           time.Duration `json:"gap"` // ns, for which it was stopped
	OffsetsBefore *offsets      `json:"offsetsBefore"`
	OffsetsAfter  *offsets      `json:"offsetsAfter"`
}

// addState fills in what only the runtime's own files and the bundle tell.
func (v *view) addState(s runtimeState, tasks []timens.Task, host timens.Host) {
	v.ExecElsewhere = !v.Initial && !s.execJoins()
	dir := s.bundle()
	init := slices.IndexFunc(tasks, func(t timens.Task) bool { return t.PID == s.RuncPID+s.PID })
	if dir == "" || init < 0 {
		return
	}
	n, err := criu.ReadNote(dir)
	if err != nil { // mostly there is none
		return
	}
	// Start times are on the boottime clock of this process, in clock ticks of 10 ms.
	own, err := host.Own.Boottime.Duration()
	started := time.Duration(tasks[init].StartTicks)*10*time.Millisecond - own
	if err == nil && n.IsOf(started, host.Wall.BootID) {
		v.Restored = &restored{n.Images, n.Gap, jsonOffsets(n.Before), jsonOffsets(n.After)}
	}
}

// execJoins tells whether exec into the container has its clocks. runc joins the types of
// namespaces that its state.json lists; others join whatever init is in.
func (s runtimeState) execJoins() bool {
	return s.RuncPID == 0 || slices.ContainsFunc(s.Config.Namespaces, func(ns struct{ Type string }) bool { return ns.Type == "NEWTIME" })
}

// writeState prints it for people.
func (v *view) writeState(w io.Writer) {
	if v.ExecElsewhere {
		fmt.Fprintln(w, "\nWhat \"runc exec\" starts in it has the machine's clocks: runc lists no time namespace in its state.json,"+
			"\nas before 1.2 always, and after a restore before 1.2.7.")
	}
	r := v.Restored
	if r == nil {
		return
	}
	fmt.Fprintf(w, "\nRestored from %s, after %v in which it was stopped:\n", printable(r.Images), r.Gap.Round(time.Millisecond))
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "CLOCK\tOFFSET BEFORE\tAFTER")
	for _, c := range timens.AllClocks() {
		fmt.Fprintf(t, "%s\t%v\t%v\n", c.Const(), r.OffsetsBefore.value().Get(c), r.OffsetsAfter.value().Get(c))
	}
	t.Flush()
}
