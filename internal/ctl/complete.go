package ctl

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v3"

	"oci-timens/internal/engine"
)

// completeEngine proposes engines, and what the library proposes, for the command
// line of a shell.
func completeEngine(ctx context.Context, c *cli.Command) {
	if !c.Args().Present() {
		for _, name := range engine.Names {
			fmt.Fprintln(c.Root().Writer, name)
		}
	}
	cli.DefaultCompleteWithFlags(ctx, c)
}
