package ctl

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/urfave/cli/v3"

	"oci-timens/timens"
)

func psCommand() *cli.Command {
	return &cli.Command{
		Name:  "ps",
		Usage: "list the time namespaces of this machine, their offsets and who is in them",
		Description: "The machine's own namespace is marked with *. A namespace that exists for the next program\n" +
			"or children of a process, such as a container that is being started, has that process in\n" +
			"parentheses. Offsets are to the machine's own clocks; ? where nobody can be asked.",
		Flags: []cli.Flag{outputFlag()},
		Action: func(_ context.Context, c *cli.Command) error {
			if err := noArguments(c); err != nil {
				return err
			}
			m, err := scan()
			if err != nil {
				return err
			}
			out, errw := outs(c)
			if c.String("output") == "json" {
				return writeJSON(out, m)
			}
			m.write(out)
			if m.Hidden > 0 {
				fmt.Fprintf(errw, "%s: processes that may not be looked into: %d; that takes CAP_SYS_PTRACE, or the same user\n", name, m.Hidden)
			}
			return nil
		},
	}
}

// machine is what ps prints.
type machine struct {
	Namespaces []namespace `json:"namespaces"`
	// Hidden counts the processes that could not be looked into.
	Hidden int `json:"hiddenProcesses"`
}

// namespace is one time namespace.
type namespace struct {
	Inode     uint64    `json:"id"` // as in time:[ID], the text of the link /proc/PID/ns/time
	Initial   bool      `json:"initial"`
	Offsets   *offsets  `json:"offsets"` // null when nobody can be asked
	Processes []process `json:"processes"`
	// Waiting are the processes whose next program or children will be in it.
	Waiting    []process `json:"waiting,omitempty"`
	Containers []string  `json:"containers"`
	// Paths are those that it is bound to.
	Paths []string `json:"paths,omitempty"`
}

type process struct {
	PID       int    `json:"pid"`
	Name      string `json:"name"`
	Container string `json:"container,omitempty"`
}

// offsets have the form of linux.timeOffsets in config.json.
type offsets struct {
	Monotonic offset `json:"monotonic"`
	Boottime  offset `json:"boottime"`
}

type offset struct {
	Secs     int64 `json:"secs"`
	Nanosecs int64 `json:"nanosecs"`
}

func jsonOffsets(o timens.Offsets) *offsets {
	of := func(v timens.Offset) offset { return offset{v.Seconds(), v.Nanoseconds()} }
	return &offsets{of(o.Monotonic), of(o.Boottime)}
}

// value undoes jsonOffsets.
func (o offsets) value() timens.Offsets {
	m, _ := timens.NewOffset(o.Monotonic.Secs, o.Monotonic.Nanosecs)
	b, _ := timens.NewOffset(o.Boottime.Secs, o.Boottime.Nanosecs)
	return timens.Offsets{Monotonic: m, Boottime: b}
}

func scan() (*machine, error) {
	if err := timens.HaveTimeNamespaces(); err != nil {
		return nil, err
	}
	tasks, hidden, err := timens.Tasks()
	if err != nil {
		return nil, err
	}
	pinned, err := timens.PinnedNamespaces()
	if err != nil {
		return nil, err
	}
	return arrange(tasks, pinned, hidden, findContainers(tasks, stateFiles)), nil
}

// arrange groups tasks by namespace: the machine's own first, then by number.
func arrange(tasks []timens.Task, pinned []timens.Pinned, hidden int, c containers) *machine {
	all := map[uint64]*namespace{}
	get := func(ino uint64) *namespace {
		if all[ino] == nil {
			id := timens.NamespaceID{Ino: ino}
			all[ino] = &namespace{Inode: ino, Initial: id.Initial(), Processes: []process{}}
		}
		return all[ino]
	}
	members := map[uint64][]timens.Task{}
	for _, t := range tasks {
		p := process{t.PID, printable(t.Name), c.of[t.PID]}
		now, next := t.Namespaces.Time.Ino, t.Namespaces.ForChildren.Ino
		get(now).Processes = append(get(now).Processes, p)
		if next != now {
			get(next).Waiting = append(get(next).Waiting, p)
		}
		get(next).Offsets = jsonOffsets(t.Offsets)
		members[now] = append(members[now], t)
	}
	for _, p := range pinned {
		get(p.Inode).Paths = append(get(p.Inode).Paths, printable(p.Path))
	}
	m := &machine{Hidden: hidden}
	for ino, n := range all {
		if n.Initial {
			n.Offsets = &offsets{}
		}
		n.Containers = append([]string{}, c.ids(members[ino])...)
		m.Namespaces = append(m.Namespaces, *n)
	}
	slices.SortFunc(m.Namespaces, func(a, b namespace) int {
		if a.Initial != b.Initial {
			if a.Initial {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.Inode, b.Inode)
	})
	return m
}

// write prints the table.
func (m *machine) write(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "NAMESPACE\tMONOTONIC\tBOOTTIME\tPROCESSES\tCONTAINER\tCOMMANDS")
	for _, n := range m.Namespaces {
		mark, mono, boot := "", "?", "?"
		if n.Initial {
			mark = "*"
		}
		if n.Offsets != nil {
			v := n.Offsets.value()
			mono, boot = v.Monotonic.String(), v.Boottime.String()
		}
		fmt.Fprintf(t, "%d%s\t%s\t%s\t%d\t%s\t%s\n", n.Inode, mark, mono, boot, len(n.Processes), n.containers(), n.commands())
	}
	t.Flush()
}

// containers shortens the ids of engines as those do, to 12 digits.
func (n namespace) containers() string {
	if len(n.Containers) == 0 {
		return "-"
	}
	var short []string
	for _, id := range n.Containers {
		if len(id) == 64 {
			id = id[:12]
		}
		short = append(short, id)
	}
	return strings.Join(short, ",")
}

// commands lists the first processes and where else the namespace is held.
func (n namespace) commands() string {
	const most = 3
	var list []string
	for i, p := range n.Processes {
		if i == most {
			list = append(list, "…")
			break
		}
		list = append(list, fmt.Sprintf("%s[%d]", p.Name, p.PID))
	}
	for _, p := range n.Waiting {
		list = append(list, fmt.Sprintf("(%s[%d])", p.Name, p.PID))
	}
	list = append(list, n.Paths...)
	if len(list) == 0 {
		return "-"
	}
	return strings.Join(list, " ")
}

// printable replaces what could move a terminal's cursor: a process names itself.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
