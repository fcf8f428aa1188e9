package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"oci-timens/integration/stats"
)

// asC is how much longer hook and shim may take than the same job in C.
const asC = 1.5

// peer is another wrapper of runtimes: NVIDIA's, which needs none of their hardware to find
// that there is nothing to do for a container.
const peer = "nvidia-container-runtime"

// jobs sets hook and shim beside programs in C that do the same with as little as that
// takes, beside programs in Go that do nothing, and beside a wrapper of others. What is
// timed is one program, from its start to its end: the hook inside a start by runc, the
// wrappers in front of a runtime that does nothing, in C.
func (b *bench) jobs() error {
	hooks := b.hookJobs()
	if err := b.measure(hooks); err != nil {
		return err
	}
	b.table("the hook's job, alone", hooks)
	wrappers, err := b.wrapperJobs()
	if err != nil {
		return err
	}
	if err := b.measure(wrappers); err != nil {
		return err
	}
	b.table("the shim's job, with a runtime that does nothing", wrappers)
	usage(slices.Concat(hooks, wrappers))
	return nil
}

func (b *bench) hookJobs() []*way {
	alone := func(name string, asks bool, program ...string) *way {
		return &way{name: name, runtime: b.runc, hooks: [][]string{program}, asks: asks, alone: true}
	}
	ours := []string{filepath.Join(b.bin, "timens-hook"), "createRuntime"}
	noop, goNoop := alone("no-op in C", false, b.own("c-noop")), alone("no-op in Go", false, b.own("noop"))
	goNoop.baseline = noop.name
	if runtime.GOARCH != "amd64" { // what c/hook.c is written for
		return []*way{noop, goNoop, alone("timens-hook, nothing asked", false, ours...), alone("timens-hook, both clocks", true, ours...)}
	}
	ways := []*way{noop, goNoop}
	for _, asks := range []bool{false, true} {
		inC, hook := alone("the hook's job in C, "+asked(asks), asks, b.own("c-hook")), alone("timens-hook, "+asked(asks), asks, ours...)
		inC.baseline, hook.baseline, hook.times = noop.name, inC.name, asC
		added := *hook
		added.name, added.env = hook.name+", as the shim adds it", []string{"GOMAXPROCS=1"}
		ways = append(ways, inC, hook, &added)
	}
	return ways
}

func asked(asks bool) string {
	if asks {
		return "both clocks"
	}
	return "nothing asked"
}

func (b *bench) wrapperJobs() ([]*way, error) {
	alone := func(name string, asks bool, program string, args ...string) *way {
		return &way{name: name, runtime: program, args: args, lowLevel: b.own("c-noop"), asks: asks, alone: true}
	}
	wrap, goWrap := alone("no-op wrapper in C", false, b.own("c-wrap")), alone("no-op wrapper in Go", false, b.own("noopwrap"))
	goWrap.baseline = wrap.name
	ways := []*way{wrap, goWrap}
	for _, kind := range []struct {
		name        string
		asks, large bool
	}{{"nothing asked", false, false}, {"both clocks", true, false}, {"both clocks, config.json of 15 kB", true, true}} {
		inC, shim := alone("the shim's job in C, "+kind.name, kind.asks, b.own("c-shim")), alone("timens-runc, "+kind.name, kind.asks, filepath.Join(b.bin, "timens-runc"))
		inC.baseline, shim.baseline, shim.times = wrap.name, inC.name, asC
		inC.large, shim.large = kind.large, kind.large
		ways = append(ways, inC, shim)
	}
	create := alone("timens-runc, nothing asked, without a configuration file", false, filepath.Join(b.bin, "timens-runc"))
	create.command, create.inPath, create.baseline, create.times = "create", true, "the shim's job in C, nothing asked", asC
	start := alone("timens-runc, start", false, filepath.Join(b.bin, "timens-runc"))
	start.command, start.inPath, start.baseline, start.times = "start", true, wrap.name, asC
	configured := *start
	configured.name, configured.inPath = "timens-runc, start, with a configuration file", false
	ways = append(ways, create, start, &configured)
	if b.peer == "" {
		return ways, nil
	}
	nvidia := alone(peer+", nothing to add", false, b.own(filepath.Base(b.peer)))
	nvidia.env, nvidia.command, nvidia.baseline = []string{"XDG_CONFIG_HOME=" + b.dir}, "create", "timens-runc, nothing asked" // it looks at no other
	config := fmt.Sprintf("[nvidia-container-runtime]\ndebug = \"/dev/null\"\nmode = \"legacy\"\nruntimes = [%q]\n", b.own("c-noop"))
	if err := os.MkdirAll(filepath.Join(b.dir, peer), 0o755); err != nil {
		return nil, err
	}
	return append(ways, nvidia), os.WriteFile(filepath.Join(b.dir, peer, "config.toml"), []byte(config), 0o644)
}

// usage prints what the kernel counted while the programs ran.
func usage(ways []*way) {
	fmt.Print("| what it takes | page faults | processor time | given up the processor | peak memory |\n|---|---|---|---|---|\n")
	of := func(w *way, f func(measurement) int64) int64 {
		var all []int64
		for _, m := range w.usage {
			all = append(all, f(m))
		}
		return stats.Median(all)
	}
	for _, w := range ways {
		fmt.Printf("| %s | %d | %.2f ms | %d | %.1f MiB |\n", w.name,
			of(w, func(m measurement) int64 { return m.faults }),
			ms(time.Duration(of(w, func(m measurement) int64 { return int64(m.processor) }))),
			of(w, func(m measurement) int64 { return m.switches }),
			float64(of(w, func(m measurement) int64 { return m.memory }))/1024)
	}
	fmt.Println()
}
