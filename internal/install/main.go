package install

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v3"
	"golang.org/x/sys/unix"
)

// Main runs the command line and returns the exit status.
func Main(args []string, out, errw io.Writer, version string) int {
	if err := newCommand(out, errw, version).Run(context.Background(), args); err != nil {
		fmt.Fprintf(errw, "timens-install: %v\n", err)
		return 1
	}
	return 0
}

func newCommand(out, errw io.Writer, version string) *cli.Command {
	common := func(more ...cli.Flag) []cli.Flag {
		return append([]cli.Flag{
			&cli.StringFlag{Name: "host", Value: "/host", Usage: "`FOLDER` at which the node's files are mounted"},
			&cli.StringFlag{Name: "prefix", Value: "/opt/oci-timens", Usage: "`FOLDER` of the node for the programs"},
			&cli.StringFlag{Name: "engine", Usage: "`ENGINE` of the node, containerd or crio, for the runtime handler timens; needs all of the node's files and CAP_SYS_CHROOT"},
			&cli.StringFlag{Name: "engine-config", Usage: "the engine's configuration `FILE` (default: the usual one)"},
			&cli.StringFlag{Name: "restart", Usage: "`COMMAND` of the node that restarts the engine when its configuration has changed (default: only say so)"},
		}, more...)
	}
	return &cli.Command{
		Name:           "timens-install",
		Usage:          "put timens-hook, timens-runc and timensctl onto a Kubernetes node",
		Version:        version,
		Writer:         out,
		ErrWriter:      errw,
		ExitErrHandler: func(context.Context, *cli.Command, error) {},
		Commands: []*cli.Command{
			{
				Name: "install", Usage: "put them there, beside what is in use, and switch over",
				Flags: common(&cli.StringFlag{Name: "config", Usage: "`FILE` to become part of the node's /etc/oci-timens; one without settings removes that part"}),
				Action: func(_ context.Context, c *cli.Command) error {
					o, err := options(c)
					if err != nil {
						return err
					}
					return Install(o)
				},
			},
			{
				Name: "uninstall", Usage: "set the engine back, and remove them",
				Flags: common(&cli.BoolFlag{Name: "force", Usage: "also where containers of the runtime handler are running"}),
				Action: func(_ context.Context, c *cli.Command) error {
					o, err := options(c)
					if err != nil {
						return err
					}
					return Uninstall(o)
				},
			},
			{
				Name: "wait", Usage: "do nothing until SIGTERM, for a pod that has to stay",
				Action: func(ctx context.Context, _ *cli.Command) error {
					ctx, stop := signal.NotifyContext(ctx, unix.SIGTERM, unix.SIGINT)
					defer stop()
					<-ctx.Done()
					return nil
				},
			},
		},
		Action: func(_ context.Context, c *cli.Command) error {
			if c.Args().Present() {
				return fmt.Errorf("unknown command %q: want install, uninstall or wait", c.Args().First())
			}
			return cli.ShowRootCommandHelp(c)
		},
	}
}

func options(c *cli.Command) (Options, error) {
	if c.Args().Present() {
		return Options{}, fmt.Errorf("unexpected argument %q", c.Args().First())
	}
	self, err := os.Executable()
	return Options{
		Host: c.String("host"), From: filepath.Dir(self), Prefix: c.String("prefix"), Version: c.Root().Version,
		Config: c.String("config"), Engine: c.String("engine"), EngineConfig: c.String("engine-config"),
		Restart: strings.Fields(c.String("restart")), Force: c.Bool("force"), Out: c.Root().Writer,
	}, err
}
