package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// wish is what is asked of one clock. The zero value: the host's.
type wish struct {
	asked bool
	reads bool // value is what it reads at creation, and else its offset
	value time.Duration
}

// asks is what is asked of a container, with the annotations that ask so.
type asks struct {
	annotations map[string]string
	toml        string // more of the configuration
	mono, boot  wish
}

const day = 24 * time.Hour

// drawAsks draws what a container asks for: mostly something of both clocks. up is what the
// host's clocks read at least.
func drawAsks(r *rand.Rand, up time.Duration) asks {
	var a asks
	var mono, boot string
	a.mono, mono = drawWish(r, up)
	a.boot, boot = drawWish(r, up)
	// The host's administrator may ask, where the container does not.
	if byDefault := r.IntN(20) == 0; byDefault {
		for key, text := range map[string]string{"monotonic": mono, "boottime": boot} {
			if text != "" {
				a.toml += fmt.Sprintf("%s = %q\n", key, text)
			}
		}
		a.toml = "[defaults]\n" + a.toml
		return a
	}
	a.annotations = map[string]string{}
	for key, text := range map[string]string{"io.timens.monotonic": mono, "io.timens.boottime": boot} {
		if text != "" {
			a.annotations[key] = text
		}
	}
	return a
}

// drawWish draws what is asked of one clock, in one of the forms that there are for it.
func drawWish(r *rand.Rand, up time.Duration) (w wish, text string) {
	switch n := r.IntN(10); {
	case n < 2:
		return wish{}, ""
	case n < 3:
		return wish{asked: true, reads: true}, "=0"
	case n < 5:
		w = wish{true, true, drawSpan(r, 500*day)}
		return w, "=" + form(r, w.value)
	case n < 7:
		w = wish{true, false, -drawSpan(r, up/2)}
		return w, "-" + form(r, -w.value)
	}
	w = wish{true, false, drawSpan(r, 4000*day)}
	return w, []string{"", "+"}[r.IntN(2)] + form(r, w.value)
}

// drawSpan draws a span of any order of magnitude, from a nanosecond on.
func drawSpan(r *rand.Rand, most time.Duration) time.Duration {
	return min(time.Duration(math.Exp(r.Float64()*math.Log(float64(most)))), most)
}

// form writes a span in one of the ways that a setting may be written.
func form(r *rand.Rand, d time.Duration) string {
	secs, nanos := int64(d/time.Second), int64(d%time.Second)
	switch r.IntN(3) {
	case 0:
		return fmt.Sprintf("%d.%09d", secs, nanos)
	case 1:
		return fmt.Sprintf("%dns", int64(d))
	}
	return fmt.Sprintf("%dd%dh%dm%d.%09ds", secs/86400, secs/3600%24, secs/60%60, secs%60, nanos)
}

// refusal is a container that must not start, and what is said about it.
type refusal struct{ key, value, toml, says string }

var refusals = []refusal{
	{"io.timens.boottime", "soon", "", `'s' where a digit is needed`},
	{"io.timens.boottime", "", "", `is empty: want an offset`},
	{"io.timens.uptime", "=0", "", `annotation "io.timens.uptime" is unknown`},
	{"io.timens.boottime", "-40000d", "", `below zero`},
	{"io.timens.monotonic", "+60000d", "", `the kernel allows no clock beyond`},
	{"io.timens.monotonic", "+2h", "[policy]\nmax-offset = \"1h\"\n", `policy.max-offset`},
	{"io.timens.monotonic", "+2h", "[policy]\nclocks = [\"boottime\"]\n", `policy.clocks does not list monotonic`},
	{"io.timens.resume", "saved:none", "", `nothing has been saved under that name`},
	{"io.timens.boottime", "=0", "colour = \"blue\"\n", `unknown key "colour"`},
}
