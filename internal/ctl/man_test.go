package ctl

import (
	"io"
	"os"
	"strings"
	"testing"

	"github.com/urfave/cli/v3"
)

// TestManPage holds timensctl(8) to the command line: every command has its place
// there, and every option is explained in it.
func TestManPage(t *testing.T) {
	page, err := os.ReadFile("../../deploy/man/timensctl.8")
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{} // by the first word of their titles
	for _, s := range strings.Split(string(page), "\n.Ss ")[1:] {
		s, _, _ = strings.Cut(s, "\n.Sh ")
		title, text, _ := strings.Cut(s, "\n")
		for _, command := range strings.Split(title, ", ") {
			sections[strings.Fields(command)[0]] += title + "\n" + text
		}
	}
	synopsis := between(string(page), ".Sh SYNOPSIS", ".Sh DESCRIPTION")
	for _, c := range newCommand(io.Discard, io.Discard, "").Commands {
		if c.Hidden {
			continue
		}
		text, ok := sections[c.Name]
		if !ok {
			t.Errorf("no section about %q", c.Name)
		}
		if !strings.Contains(synopsis, "\n.Cm "+c.Name) {
			t.Errorf("no %q in the synopsis", c.Name)
		}
		explained(t, c, text)
	}
}

func explained(t *testing.T, c *cli.Command, text string) {
	t.Helper()
	for _, f := range c.Flags {
		for _, name := range f.Names() {
			macro := "Fl -" + name
			if len(name) == 1 {
				macro = " , " + name // as in ".It Fl -output , o"
			}
			if name != "help" && name != "h" && !strings.Contains(text, macro+" ") && !strings.Contains(text, macro+"\n") {
				t.Errorf("%q: no option %q", c.Name, name)
			}
		}
	}
	for _, sub := range c.Commands {
		if !sub.Hidden && sub.Name != "help" && !strings.Contains(text, sub.Name) {
			t.Errorf("%q: no command %q", c.Name, sub.Name)
		}
		explained(t, sub, text)
	}
}

func between(s, from, to string) string {
	_, s, _ = strings.Cut(s, from)
	s, _, _ = strings.Cut(s, to)
	return s
}
