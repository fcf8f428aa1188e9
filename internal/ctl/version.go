package ctl

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v3"
)

func versionCommand(version string) *cli.Command {
	return &cli.Command{
		Name:  "version",
		Usage: "print the version",
		Action: func(_ context.Context, c *cli.Command) error {
			if err := noArguments(c); err != nil {
				return err
			}
			out, _ := outs(c)
			_, err := fmt.Fprintln(out, name, version)
			return err
		},
	}
}
