package shim

import (
	"bytes"
	"encoding/json"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli"

	"oci-timens/spec"
)

// runcsLine is what runc makes of a command line that has it read a bundle.
type runcsLine struct{ command, id, root, bundle, log, logFormat string }

var runcsID = regexp.MustCompile(`^[a-zA-Z0-9_+.-]+$`)

// asRunc reads a command line by the library and with the options of runc 1.5.2 (main.go,
// create.go, run.go). It returns nil where runc would not get to read a bundle.
func asRunc(args []string) (line *runcsLine) {
	act := func(c *cli.Context) error {
		if c.NArg() == 1 && runcsID.MatchString(c.Args().First()) { // checkArgs, and validateID in libcontainer
			line = &runcsLine{c.Command.Name, c.Args().First(), c.GlobalString("root"), c.String("bundle"), c.GlobalString("log"), c.GlobalString("log-format")}
		}
		return nil
	}
	text := func(name string) cli.Flag { return cli.StringFlag{Name: name} }
	yes := func(name string) cli.Flag { return cli.BoolFlag{Name: name} }
	create := []cli.Flag{text("bundle, b"), text("console-socket"), text("pidfd-socket"), text("pid-file"), yes("no-pivot"), yes("no-new-keyring"), cli.IntFlag{Name: "preserve-fds"}}
	app := cli.NewApp()
	app.Name, app.Writer, app.ErrWriter, app.Version = "runc", io.Discard, io.Discard, "1.5.2"
	app.Flags = []cli.Flag{yes("debug"), text("log"), text("log-format"), text("root"), yes("systemd-cgroup"), text("rootless")}
	app.Commands = []cli.Command{
		{Name: "create", Flags: create, Action: act},
		{Name: "run", Flags: append(slices.Clone(create), yes("detach, d"), yes("keep"), yes("no-subreaper")), Action: act},
		{Name: "delete", Flags: []cli.Flag{yes("force, f")}, Action: func(*cli.Context) error { return nil }},
	}
	for _, other := range []string{"checkpoint", "events", "exec", "kill", "list", "pause", "ps", "restore", "resume", "spec", "start", "state", "update", "features"} {
		app.Commands = append(app.Commands, cli.Command{Name: other, SkipFlagParsing: true, Action: func(*cli.Context) error { return nil }})
	}
	if app.Run(append([]string{"runc"}, args...)) != nil {
		return nil
	}
	return line
}

// words are those of which a command line is made that may mean something.
var words = []string{
	"create", "run", "delete", "exec", "c1", "c2", "/b", "", "-", "--", "---", "-=", "--=x", "--help", "-h", "--help=false", "-h=0", "--version", "-v", "-v=false", "help",
	"--debug", "-debug", "--debug=true", "--debug=x", "--log", "-log", "--log=/l", "--log-format", "--log-format=json", "--root", "-root", "--root=/r", "-root=/r", "--root=",
	"--systemd-cgroup", "--rootless", "--rootless=auto", "--criu=x", "--criu", "--unknown", "--unknown=1", "-x",
	"--bundle", "-bundle", "--bundle=/b", "-bundle=/b", "-b", "--b", "-b=/b", "--b=/b", "-b/b", "-db/b", "--bun", "--bundle=", " --bundle", " -b ", "--bundle=/b=c",
	"--console-socket", "--pid-file", "--pid-file=-b", "--pidfd-socket", "--preserve-fds", "--preserve-fds=3", "3", "--no-pivot", "--no-pivot=false", "--no-pivot=x", "--no-new-keyring",
	"--detach", "-d", "-d=false", "--keep", "--no-subreaper", "--config", "-f", "--config=x.json",
}

// FuzzRuncArgv compares with how runc reads a command line: whenever runc would read a
// bundle, the shim has found the same one, or refuses.
func FuzzRuncArgv(f *testing.F) {
	find := func(line string) (picks []byte) {
		for w := range strings.SplitSeq(line, ",") {
			picks = append(picks, byte(slices.Index(words, w)))
		}
		return picks
	}
	f.Add(find("--root,/b,create,-b,/b,--pid-file,--,c1"), "")
	f.Add(find("create,c1,--bundle=/b"), "")
	f.Add(find("--log=/l,--,run,-d,--no-pivot,--,c1"), "")
	f.Add(find("create,--no-pivot,c1,-b,/b"), "x")
	f.Add([]byte{255, 0, 255}, "-root=x\n-b=y")
	exit := cli.OsExiter
	f.Cleanup(func() { cli.OsExiter = exit })
	cli.OsExiter = func(int) {} // after "runc help NONE"
	f.Fuzz(func(t *testing.T, picks []byte, others string) {
		other := strings.Split(others, "\n")
		var args []string
		for _, p := range picks {
			switch {
			case int(p) < len(words):
				args = append(args, words[p])
			case len(other) > 0:
				args, other = append(args, other[0]), other[1:]
			}
		}
		inv, err := parse(args)
		want := asRunc(args)
		if want == nil || err != nil || inv.crunOnly != "" { // checkDialect refuses the last
			return
		}
		if !inv.makesContainer() {
			t.Fatalf("%q: runc reads bundle %q, the shim reads %+v", args, want.bundle, inv)
		}
		if got := (runcsLine{inv.command, inv.id, inv.root, inv.bundle, inv.log, inv.logFormat}); got != *want {
			t.Errorf("%q:\ngot  %+v\nrunc %+v", args, got, *want)
		}
	})
}

// FuzzFeatures: what a runtime prints gets one annotation more, or is left as it is.
func FuzzFeatures(f *testing.F) {
	f.Add([]byte(`{"ociVersionMin":"1.0.0","potentiallyUnsafeConfigAnnotations":["a.","b"]}`))
	f.Add([]byte("{\n\t\"potentiallyUnsafeConfigAnnotations\": null\n}\n"))
	f.Add([]byte(`{"potentiallyUnsafeConfigAnnotations":["io.timens."],"x":1e400}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		out := withAnnotations(bytes.Clone(text))
		if bytes.Equal(out, text) {
			return
		}
		before, after := features(t, text), features(t, out)
		list, _ := after[unsafeAnnotations].([]any)
		if n := len(list); n == 0 || list[n-1] != spec.Prefix {
			t.Fatalf("%s\nbecame\n%s", text, out)
		}
		if list = list[:len(list)-1]; len(list) == 0 && before[unsafeAnnotations] == nil {
			delete(after, unsafeAnnotations)
			delete(before, unsafeAnnotations)
		} else {
			after[unsafeAnnotations] = list
		}
		if len(list) == 0 && after[unsafeAnnotations] != nil {
			after[unsafeAnnotations] = []any{}
		}
		if !reflect.DeepEqual(before, after) {
			t.Errorf("%s\nbecame\n%s", text, out)
		}
		if again := withAnnotations(bytes.Clone(out)); !bytes.Equal(again, out) {
			t.Errorf("%s\nbecame\n%s", out, again)
		}
	})
}

func features(t *testing.T, text []byte) (v map[string]any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return v
}
