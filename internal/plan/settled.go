package plan

import (
	"fmt"
	"strings"

	"oci-timens/config"
	"oci-timens/spec"
	"oci-timens/timens"
)

// Settled are the arguments of timens-hook, CLOCK[/WHOSE]=OFFSET, by which it is told what
// a container gets: it then does not look at annotations. Whoever adds a hook to
// config.json can as well have the container do anything else, so these need not be
// doubted; but the hook's host may allow less than whoever has settled them knows of, so
// its policy holds, but for the rules on who may ask, which are about more than a hook
// sees.
//
// WHOSE is as in these constants. "save=NAME" tells where the clocks are to be kept.
const (
	keySave     = "save"
	ofContainer = "/container" // spec.Asked.Alone
	ofDefaults  = "/default"   // the host asks for it, and not the pod
)

// Settle is ForBundle for a container that timens-hook is to be told of, with the
// arguments for it.
func Settle(a Ask, b Bundle) (p Plan, args []string, err error) {
	w := a.wish()
	if w.IsZero() {
		return Plan{Reason: "no clock is asked for"}, nil, nil
	}
	if p, err = keeping(a, b, w); err != nil {
		// Which runtime starts it is not known here: true, as it may be crun.
		p, err = a.react(err, true, func(again Ask) (Plan, error) {
			w = again.wish()
			return ForBundle(again, b)
		})
	}
	if err != nil {
		return p, nil, err
	}
	shifts := p.Mechanism == Hooks
	if p.Save != "" {
		p.Mechanism = Hooks // which have to note what is kept, if nothing else
		args = append(args, keySave+"="+p.Save)
	}
	if !shifts {
		return p, args, nil
	}
	for _, c := range timens.AllClocks() {
		asked := w.Get(c)
		if asked.Setting.IsZero() {
			continue
		}
		whose := ""
		if w.isDefault {
			whose = ofDefaults
		} else if asked.Alone {
			whose = ofContainer
		}
		v, err := p.Offsets.Get(c).Sub(a.Host.Own.Get(c))
		if err != nil {
			return Plan{}, nil, err
		}
		args = append(args, c.String()+whose+"="+v.String())
	}
	return p, args, nil
}

// ParseSettled reads the arguments that Settle has made: a request, or else the defaults
// that stand for those of the host.
func ParseSettled(args []string) (r spec.Request, d config.Defaults, err error) {
	for _, arg := range args {
		if err := parseSettled(&r, &d, arg); err != nil {
			return spec.Request{}, config.Defaults{}, fmt.Errorf("argument %q: %w", arg, err)
		}
	}
	return r, d, nil
}

func parseSettled(r *spec.Request, d *config.Defaults, arg string) error {
	key, value, ok := strings.Cut(arg, "=")
	if !ok {
		return fmt.Errorf("want CLOCK=OFFSET")
	}
	if key == keySave {
		r.Save = value
		return nil
	}
	name, isDefault := strings.CutSuffix(key, ofDefaults)
	name, alone := strings.CutSuffix(name, ofContainer)
	c, err := timens.ParseClock(name)
	if err != nil {
		return err
	}
	v, err := timens.ParseOffset(value)
	if err != nil {
		return err
	}
	asked := spec.Asked{Setting: timens.OffsetSetting(v), Source: fmt.Sprintf("argument %q", key), Value: value, Alone: alone}
	switch {
	case isDefault && c == timens.Boottime:
		d.Boottime = asked.Setting
	case isDefault:
		d.Monotonic = asked.Setting
	case c == timens.Boottime:
		r.Boottime = asked
	default:
		r.Monotonic = asked
	}
	return nil
}
