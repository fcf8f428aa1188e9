package ctl

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"oci-timens/timens"
)

func inspectCommand() *cli.Command {
	return &cli.Command{
		Name:      "inspect",
		Usage:     "show the clocks of one process or container",
		ArgsUsage: "PID|CONTAINER",
		Description: "CONTAINER is the id that the low-level runtime knows, or its beginning. Shows the clocks as the\n" +
			"process reads them, and what differs: threads, the next program or children, and other\n" +
			"processes of the same container. Of one that timens-runc has restored, its offsets before.",
		Flags: []cli.Flag{outputFlag()},
		Action: func(_ context.Context, c *cli.Command) error {
			what, err := oneArgument(c, "a PID or a container")
			if err != nil {
				return err
			}
			v, err := inspect(what)
			if err != nil {
				return err
			}
			out, _ := outs(c)
			if c.String("output") == "json" {
				return writeJSON(out, v)
			}
			v.write(out)
			return nil
		},
	}
}

// view is what inspect prints.
type view struct {
	process
	Namespace uint64 `json:"namespace"`
	Initial   bool   `json:"initial"` // the machine's own
	// Offsets and Clocks are null when the process is in a namespace whose
	// offsets nobody can be asked for.
	Offsets *offsets `json:"offsets"`
	Host    clocks   `json:"hostClocks"` // of the machine's own namespace
	Clocks  *clocks  `json:"clocks"`
	// NamespaceForChildren is where its children and its next program will be.
	NamespaceForChildren uint64         `json:"namespaceForChildren"`
	OffsetsForChildren   *offsets       `json:"offsetsForChildren"`
	Threads              []threads      `json:"threads"`
	SameNamespace        int            `json:"processesInNamespace"`
	Elsewhere            []otherProcess `json:"containerProcessesElsewhere"`
	// ExecElsewhere is true where the runtime's exec does not join the container's clocks.
	ExecElsewhere bool `json:"execElsewhere"`
	// Restored is null unless the container was restored from a checkpoint by the shim.
	Restored *restored `json:"restored"`
}

// clocks are readings in nanoseconds.
type clocks struct {
	Monotonic time.Duration `json:"monotonic"`
	Boottime  time.Duration `json:"boottime"`
}

// threads counts those with the same two namespaces.
type threads struct {
	Count                int    `json:"count"`
	Namespace            uint64 `json:"namespace"`
	NamespaceForChildren uint64 `json:"namespaceForChildren"`
}

// otherProcess is one of the same container in another namespace.
type otherProcess struct {
	process
	Namespace uint64 `json:"namespace"`
}

func inspect(what string) (*view, error) {
	if err := timens.HaveTimeNamespaces(); err != nil {
		return nil, err
	}
	tasks, _, err := timens.Tasks()
	if err != nil {
		return nil, err
	}
	known := findContainers(tasks, stateFiles)
	pid, err := resolve(what, tasks, known)
	if err != nil {
		return nil, err
	}
	p, err := timens.OpenProcess(pid)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	ns, err := p.Namespaces()
	if err != nil {
		return nil, fmt.Errorf("%w: looking into a process takes CAP_SYS_PTRACE, or the same user", err)
	}
	forChildren, err := p.Offsets()
	if err != nil {
		return nil, err
	}
	byThread, err := p.ThreadNamespaces()
	if err != nil {
		return nil, err
	}
	host, err := timens.Host{}.WithWall()
	if err != nil {
		return nil, err
	}
	v := &view{
		process:              process{PID: pid, Container: known.of[pid]},
		Namespace:            ns.Time.Ino,
		Initial:              ns.Time.Initial(),
		Host:                 clocks(host.Clocks),
		NamespaceForChildren: ns.ForChildren.Ino,
		OffsetsForChildren:   jsonOffsets(forChildren),
		Threads:              countThreads(byThread),
	}
	v.addTasks(tasks, known)
	if s, ok := known.state[v.Container]; ok {
		v.addState(s, tasks, host)
	}
	return v, v.addClocks(host)
}

// resolve returns the PID that is meant: digits are one if there is such a
// process, anything else is a container, which stands for its init.
func resolve(what string, tasks []timens.Task, known containers) (int, error) {
	if pid, err := strconv.Atoi(what); err == nil {
		if slices.ContainsFunc(tasks, func(t timens.Task) bool { return t.PID == pid }) {
			return pid, nil
		}
		if p, err := timens.OpenProcess(pid); err == nil {
			p.Close()
			return pid, nil // one that may not be looked into: that is said later
		}
	}
	id, err := known.find(what)
	return known.init[id], err
}

// addTasks fills in what other processes tell.
func (v *view) addTasks(tasks []timens.Task, known containers) {
	v.Elsewhere = []otherProcess{}
	if v.Initial {
		v.Offsets = &offsets{}
	}
	for _, t := range tasks {
		now := t.Namespaces.Time.Ino
		if t.PID == v.PID {
			v.Name = printable(t.Name)
		}
		if now == v.Namespace {
			v.SameNamespace++
		} else if v.Container != "" && known.of[t.PID] == v.Container {
			v.Elsewhere = append(v.Elsewhere, otherProcess{process{t.PID, printable(t.Name), v.Container}, now})
		}
		// /proc tells the offsets of the namespace for children alone.
		if t.Namespaces.ForChildren.Ino == v.Namespace && v.Offsets == nil {
			v.Offsets = jsonOffsets(t.Offsets)
		}
	}
}

// addClocks computes what the process reads.
func (v *view) addClocks(host timens.Host) error {
	if v.Offsets == nil {
		return nil
	}
	v.Clocks = new(clocks)
	for _, c := range timens.AllClocks() {
		sum, err := timens.OffsetOf(host.Clocks.Get(c)).Add(v.Offsets.value().Get(c))
		if err != nil {
			return err
		}
		d, err := sum.Duration()
		if err != nil {
			return err
		}
		if c == timens.Boottime {
			v.Clocks.Boottime = d
		} else {
			v.Clocks.Monotonic = d
		}
	}
	return nil
}

func countThreads(by map[timens.Namespaces]int) []threads {
	var list []threads
	for ns, n := range by {
		list = append(list, threads{n, ns.Time.Ino, ns.ForChildren.Ino})
	}
	slices.SortFunc(list, func(a, b threads) int { return b.Count - a.Count })
	return list
}

// write prints it for people.
func (v *view) write(w io.Writer) {
	fmt.Fprintf(w, "process    %s[%d]", v.Name, v.PID)
	if v.Container != "" {
		fmt.Fprintf(w, " of container %s", printable(v.Container))
	}
	own := ""
	if v.Initial {
		own = ", the machine's own"
	}
	fmt.Fprintf(w, "\nnamespace  time:[%d]%s, processes: %d\n\n", v.Namespace, own, v.SameNamespace)
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "CLOCK\tMACHINE\tPROCESS\tOFFSET")
	for _, c := range timens.AllClocks() {
		reads, by := "?", "?"
		if v.Clocks != nil {
			reads, by = reading(timens.Clocks(*v.Clocks).Get(c)), v.Offsets.value().Get(c).String()
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", c.Const(), reading(timens.Clocks(v.Host).Get(c)), reads, by)
	}
	t.Flush()
	v.writeDifferences(w)
	v.writeState(w)
}

// writeDifferences tells what does not have these clocks although it seems to
// belong here.
func (v *view) writeDifferences(w io.Writer) {
	if v.Clocks == nil {
		fmt.Fprintln(w, "\nThe offsets cannot be read: nobody in this namespace would pass it on to children.")
	}
	if v.NamespaceForChildren != v.Namespace {
		fmt.Fprintf(w, "\nIts children, and since Linux 6.2 its next program, will be in time:[%d]: %v.\n",
			v.NamespaceForChildren, v.OffsetsForChildren.value())
	}
	if len(v.Threads) > 1 {
		fmt.Fprintln(w, "\nIts threads are not all alike:")
		for _, t := range v.Threads {
			fmt.Fprintf(w, "  %d in time:[%d], with children in time:[%d]\n", t.Count, t.Namespace, t.NamespaceForChildren)
		}
	}
	if len(v.Elsewhere) > 0 {
		fmt.Fprintln(w, "\nOther processes of the container have other clocks; an \"exec\" that did not join does that:")
		for _, p := range v.Elsewhere {
			fmt.Fprintf(w, "  %s[%d] in time:[%d]\n", p.Name, p.PID, p.Namespace)
		}
	}
}

// reading formats what a clock reads, to the millisecond.
func reading(d time.Duration) string {
	return timens.OffsetOf(d.Round(time.Millisecond)).String()[1:]
}
