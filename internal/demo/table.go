package demo

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"oci-timens/timens"
)

// row is a line of the table: one clock of one container.
type row struct {
	clock                       string
	host, container, difference time.Duration
	asked                       string
	ok                          bool
	err                         error // why the container did not run
}

// failed makes the rows of a container that did not run.
func (a *attempt) failed(err error) []row {
	var rows []row
	for _, c := range timens.AllClocks() {
		rows = append(rows, row{clock: c.Const(), asked: a.get(c).String(), err: err})
	}
	return rows
}

// writeTable writes the rows of one runtime under its title, and each error once.
// Times are rounded to a millisecond; what is compared is not.
func writeTable(w io.Writer, title string, rows []row) {
	fmt.Fprintln(w, title)
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintf(t, "  CLOCK\tHOST\tCONTAINER\tDIFFERENCE\tASKED\n")
	var errs []string
	for _, r := range rows {
		asked, mark := r.asked, "✗"
		if asked == "" {
			asked = "-"
		}
		if r.ok {
			mark = "✓"
		}
		if r.err != nil {
			if text := strings.TrimSpace(r.err.Error()); !slices.Contains(errs, text) {
				errs = append(errs, text)
			}
			fmt.Fprintf(t, "  %s\t-\t-\t-\t%s\t%s\n", r.clock, asked, mark)
			continue
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\t%s\n", r.clock, unsigned(r.host), unsigned(r.container), signed(r.difference), asked, mark)
	}
	t.Flush()
	for _, e := range errs {
		fmt.Fprintf(w, "  ✗ %s\n", strings.ReplaceAll(e, "\n", "\n    "))
	}
	fmt.Fprintln(w)
}

func signed(d time.Duration) string {
	return timens.OffsetOf(d.Round(time.Millisecond)).String()
}

func unsigned(d time.Duration) string { return strings.TrimPrefix(signed(d), "+") }
