package nri

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"

	"github.com/containerd/nri/pkg/api"
	"github.com/urfave/cli/v3"
	"golang.org/x/sys/unix"

	"oci-timens/config"
	"oci-timens/timens"
)

const name = "timens-nri"

// memoryLimit is when the garbage collector begins to work harder.
const memoryLimit = 24 << 20

// Main runs the plugin until it is told to end, and returns the exit status.
func Main(args []string, out, errw io.Writer, version string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	if err := newCommand(out, errw, version).Run(ctx, args); err != nil {
		fmt.Fprintf(errw, "%s: %v\n", name, err)
		return 1
	}
	return 0
}

func newCommand(out, errw io.Writer, version string) *cli.Command {
	return &cli.Command{
		Name:  name,
		Usage: "have containerd or CRI-O give pods the clocks that their annotations ask for",
		Description: "A plugin of the Node Resource Interface (NRI). It adds timens-hook, which has to be on\n" +
			"the node, to the containers of pods with annotations such as io.timens.boottime.",
		Writer: out, ErrWriter: errw, Version: version,
		ExitErrHandler: func(context.Context, *cli.Command, error) {}, // it would print and end
		OnUsageError:   func(_ context.Context, _ *cli.Command, err error, _ bool) error { return err },
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "socket", Value: api.DefaultSocketPath, Usage: "`PATH` of the engine's NRI socket"},
			&cli.StringFlag{Name: "plugin-name", Value: "timens", Usage: "`NAME` to register with, as required plugins are named by"},
			&cli.StringFlag{Name: "plugin-idx", Value: "10", Usage: "two digits, `NN`, that order plugins"},
			&cli.StringFlag{Name: "config", Value: config.DefaultPath, Usage: "configuration `FILE`, which need not exist"},
			&cli.StringFlag{Name: "hook", Value: "/usr/libexec/oci/hooks.d/timens-hook", Usage: "`PATH` of timens-hook on the node"},
			&cli.StringFlag{Name: "listen", Value: "127.0.0.1:9464", Usage: "`ADDRESS` for /healthz, /readyz and /metrics; \"\" for none"},
			&cli.BoolFlag{Name: "time-namespace", Value: true, Usage: "have config.json ask for a time namespace where engine and runtime take it"},
			&cli.StringFlag{Name: "log-level", Value: "info", Usage: "error, warning, info or debug"},
			&cli.StringFlag{Name: "log-format", Value: "json", Usage: "json or text"},
		},
		Action: func(ctx context.Context, c *cli.Command) error { return run(ctx, c, errw, version) },
	}
}

func run(ctx context.Context, c *cli.Command, errw io.Writer, version string) error {
	if c.Args().Len() > 0 {
		return fmt.Errorf("unexpected argument %q", c.Args().First())
	}
	l := link{c.String("socket"), c.String("plugin-name"), c.String("plugin-idx"), c.Bool("time-namespace")}
	hook, file := c.String("hook"), c.String("config")
	if err := errors.Join(api.CheckPluginName(l.name), api.CheckPluginIndex(l.index)); err != nil {
		return fmt.Errorf("--plugin-name, --plugin-idx: %w", err)
	}
	if !filepath.IsAbs(hook) {
		return fmt.Errorf("--hook: %q is no absolute path", hook)
	}
	if _, err := os.Stat(file); err != nil && c.IsSet("config") {
		return fmt.Errorf("--config: %w", err)
	}
	late := newLateWriter(errw)
	defer late.Close()
	log, err := newLog(late, c.String("log-level"), c.String("log-format"))
	if err != nil {
		return err
	}
	if err := keepProcessor(); err != nil {
		log.WithError(err).Warn("answers may take longer on a busy node")
	}
	if err := checkClocks(); err != nil {
		return err
	}
	p := &Plugin{hook: hook, log: log, metrics: newMetrics(version), pods: map[string]bool{},
		load: func() (*config.Config, error) { return config.LoadFile(file) }}
	cfg, err := p.load()
	if err != nil {
		return err
	}
	p.setDefaults(cfg)
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	if a := c.String("listen"); a != "" {
		s, err := listen(ctx, a, p.metrics.handler(p.ready))
		if err != nil {
			return err
		}
		defer s.Close()
	}
	return p.serve(ctx, l)
}

// checkClocks refuses clocks that are not those of the node: offsets would be resolved
// from them.
func checkClocks() error {
	host, err := timens.ReadHost()
	if err != nil {
		return fmt.Errorf("the clocks of this host: %w", err)
	}
	if !host.Own.IsZero() {
		return fmt.Errorf("this program is itself in a time namespace with offsets (%v): run it with the clocks of the node", host.Own)
	}
	return nil
}
