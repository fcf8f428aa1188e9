package ctl

import (
	"context"
	"fmt"
	"os"

	"github.com/urfave/cli/v3"

	"oci-timens/config"
)

func configCommand() *cli.Command {
	return &cli.Command{
		Name:  "config",
		Usage: "print or check the configuration",
		Commands: []*cli.Command{
			{
				Name:  "default",
				Usage: "print the default configuration with every key",
				Action: func(_ context.Context, c *cli.Command) error {
					if err := noArguments(c); err != nil {
						return err
					}
					out, _ := outs(c)
					_, err := out.Write(config.DefaultTOML())
					return err
				},
			},
			{
				Name:        "validate",
				Usage:       "check a configuration file and the drop-ins in config.d beside it",
				ArgsUsage:   "[FILE]",
				Description: "Without FILE it is the one that hook and shim read: " + config.Path() + ".",
				Action:      validate,
			},
		},
		Action: func(_ context.Context, c *cli.Command) error {
			if c.Args().Present() {
				return fmt.Errorf("unknown command %q: usage: %s default|validate", c.Args().First(), c.FullName())
			}
			return fmt.Errorf("a command is missing: usage: %s default|validate", c.FullName())
		},
	}
}

func validate(_ context.Context, c *cli.Command) error {
	path, load := config.Path(), config.Load
	switch c.NArg() {
	case 0:
	case 1:
		path = c.Args().First()
		if _, err := os.Stat(path); err != nil {
			return err
		}
		load = func() (*config.Config, error) { return config.LoadFile(path) }
	default:
		return fmt.Errorf("unexpected argument %q: usage: %s %s", c.Args().Get(1), c.FullName(), c.ArgsUsage)
	}
	if _, err := load(); err != nil {
		return err
	}
	text := "%s and its drop-ins are valid\n"
	if _, err := os.Stat(path); err != nil {
		text = "%s does not exist; its drop-ins, if any, are valid\n"
	}
	out, _ := outs(c)
	_, err := fmt.Fprintf(out, text, path)
	return err
}
