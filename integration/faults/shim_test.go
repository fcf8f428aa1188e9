package faults

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// shimmed makes a container that is started through the shim, which is disturbed.
func (r lowLevel) shimContainer(t *testing.T) (*container, error) {
	c, err := r.container(t)
	if err != nil {
		return nil, err
	}
	c.shimmed = true
	c.ask(asking...)
	return c, c.write()
}

// editedConfig is what the shim makes of the config.json of a container. In place of
// what differs from one to the next it has "ID".
func (r lowLevel) editedConfig(t *testing.T) (string, error) {
	c, err := r.shimContainer(t)
	if err != nil {
		return "", err
	}
	result, err := c.run(false)
	if err != nil {
		return "", err
	}
	if o, err := judge(t, result, asked); err != nil || o != started {
		return "", fmt.Errorf("without a fault: %v, %w", result, err)
	}
	text, err := os.ReadFile(filepath.Join(c.bundle(), "config.json"))
	return strings.ReplaceAll(string(text), c.id, "ID"), errors.Join(err, c.gone(false), c.remove())
}

// TestShim disturbs the shim before it becomes the runtime. Whatever it has left, the
// next start from the same bundle is as it should be.
func TestShim(t *testing.T) {
	for _, r := range lowLevels(t) {
		edited, err := r.editedConfig(t)
		if err != nil {
			t.Fatal(err)
		}
		trial := func(kill bool) func(decide func(call) fault) (outcome, *trace, error) {
			return func(decide func(call) fault) (outcome, *trace, error) {
				c, err := r.shimContainer(t)
				if err != nil {
					return refused, nil, err
				}
				result, x, err := c.attempt(decide)
				if err != nil {
					return refused, x, err
				}
				o := refused
				if kill && x.hit != nil && result.killed() {
					// Whoever has started the shim sees it killed.
				} else if o, err = judge(t, result, asked); err != nil {
					return o, x, err
				}
				now := []byte(strings.ReplaceAll(edited, "ID", c.id))
				if err := errors.Join(c.unchanged(now), c.gone(kill)); err != nil {
					return o, x, err
				}
				again, err := c.run(false)
				if err == nil {
					var o outcome
					if o, err = judge(t, again, asked); err == nil && o != started {
						err = fmt.Errorf("the next start failed: %v", again)
					}
				}
				return o, x, errors.Join(err, c.unchanged(now), c.gone(kill), c.remove())
			}
		}
		sweep{name: r.key + ": shim is killed", counts: everyCall, faults: kills, trial: trial(true)}.run(t)
		sweep{name: r.key + ": shim's files fail", counts: fileCalls, faults: errnos, trial: trial(false)}.run(t)
		sweep{name: r.key + ": shim's writes are short", counts: writes, faults: shorts, trial: trial(false)}.run(t)
	}
}
