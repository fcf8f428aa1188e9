package shim

import (
	"strconv"
	"strings"
)

// option reads one option, with its value where it has one, and returns the last
// one of a group. It returns nil when the option is not known.
func (w *walker) option(arg string) *option {
	if long, ok := strings.CutPrefix(arg, "--"); ok {
		name, value, hasValue := strings.Cut(long, "=")
		return w.take(w.table.long(name, true), value, hasValue)
	}
	name, value, hasValue := strings.Cut(arg[1:], "=")
	o := w.table.long(name, false)
	if o != nil && len(name) > 1 && o.role == configFile { // which is crun's, and not Go
		w.crunOnly = arg
	}
	if o == nil || len(name) == 1 || o.role == configFile {
		return w.group(arg)
	}
	if short := w.table.short(name[0]); short != nil && short.value {
		w.goOnly = arg // getopt_long: -b with the value "undle"
	}
	return w.take(o, value, hasValue)
}

// group reads short options behind one dash, of which the last may have a value.
func (w *walker) group(arg string) *option {
	var o *option
	for i := 1; i < len(arg); i++ {
		if o = w.table.short(arg[i]); o == nil {
			return nil
		}
		rest := arg[i+1:]
		value, hasEqual := strings.CutPrefix(rest, "=")
		switch {
		case !o.value && !hasEqual:
			continue
		case o.role == configFile:
			return w.take(o, rest, rest != "")
		case o.role == bundle && hasEqual:
			w.goOnly = arg // getopt_long: the value begins with "="
		}
		return w.take(o, value, rest != "")
	}
	return o
}

// take notes what o says. Of options that are given twice the last one counts.
func (w *walker) take(o *option, value string, hasValue bool) *option {
	if o == nil {
		return nil
	}
	if !o.value {
		yes, err := strconv.ParseBool(value)
		yes = !hasValue || yes && err == nil // --pre-dump=false
		if o.role == quits && !yes {
			return &option{role: stays}
		}
		if o.role == preDump {
			w.preDump = yes
		}
		return o
	}
	if !hasValue {
		if len(w.args) == 0 {
			w.lacking = o.name()
			return o
		}
		value, w.args = w.args[0], w.args[1:]
	}
	switch o.role {
	case root:
		w.root = value
	case imagePath:
		w.imagePath = value
	case bundle:
		w.bundle = value
	case configFile:
		w.crunOnly = o.name()
		w.configFile = value
	case logFile:
		w.log = value
	case logFormat:
		w.logFormat = value
	}
	return o
}
