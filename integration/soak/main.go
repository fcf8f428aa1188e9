// Command soak starts containers by the thousand, through hook and shim and with every
// low-level runtime, each with clocks drawn from a seed, and has a probe inside of each tell
// what it sees. Some are refused on purpose, some are killed on the way. Before, half way and
// in the end it counts what could have been left: processes, mounts, namespaces, cgroups,
// files, open files and memory.
//
// Faults at a certain step, and what any one feature does, are for the tests.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"oci-timens/integration/apart"
)

// dirEnv names the folder of one run, for the second start of this program, inside of
// its own namespaces.
const dirEnv = "TIMENS_SOAK_DIR"

type soak struct {
	dir, bin string // what is made for this run; where hook and shim are
	runtimes []lowLevel
	starts   int
	seed     uint64
	parallel int
	only     int // this start alone, or -1
	began    time.Time
	kept     chan *chain // clocks that are kept, of which each has one user at a time
	mu       sync.Mutex
	did      map[string]map[string]int // by kind of life and by way
	notes    map[string]int            // of what is no failure
	reports  int                       // of probes
	failures int
	stop     atomic.Bool
}

// lowLevel is a low-level runtime.
type lowLevel struct {
	name, path string
	execs      bool // a process that is run in a container later has its clocks
}

func main() {
	s := &soak{did: map[string]map[string]int{}, notes: map[string]int{}, began: time.Now()}
	flag.IntVar(&s.starts, "starts", 300, "how many containers")
	flag.Uint64Var(&s.seed, "seed", rand.Uint64()>>32, "what all that is random comes from")
	flag.IntVar(&s.parallel, "parallel", 4, "how many at once")
	flag.IntVar(&s.only, "only", -1, "run this one of the starts alone")
	flag.StringVar(&s.bin, "bin", "../bin", "where timens-hook and timens-runc are")
	runc := flag.String("runc", "../.tools/runc-1.5.2", "a runc that sets offsets by itself")
	old := flag.String("old-runc", "/usr/sbin/runc", "a runc that does not")
	crun := flag.String("crun", "/usr/bin/crun", "the crun")
	flag.Parse()
	s.runtimes = []lowLevel{{"runc", *runc, true}, {"old runc", *old, false}, {"crun", *crun, true}}
	s.dir = os.Getenv(dirEnv)
	run := s.outside
	if s.dir != "" {
		run = s.inside
	}
	if err := run(); err != nil {
		fmt.Fprintf(os.Stderr, "soak: %v\n", err)
		os.Exit(1)
	}
}

// outside builds the probe and starts this program again in new namespaces.
func (s *soak) outside() (err error) {
	if os.Geteuid() != 0 {
		return errors.New("containers are started as root: run this as root")
	}
	if s.dir, err = os.MkdirTemp("", "timens-soak-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(s.dir)) }()
	build := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(s.dir, "probe"), "./cmd/probe")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building the probe: %w\n%s", err, out)
	}
	if err := s.install(); err != nil {
		return err
	}
	group, err := newCgroup(filepath.Base(s.dir))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, group.remove()) }()
	// The seed is drawn here once.
	code, err := apart.Run(apart.Again(append(os.Args[1:], "-seed", fmt.Sprint(s.seed)), dirEnv+"="+s.dir), 0)
	if err == nil && code != 0 {
		err = fmt.Errorf("exit status %d", code)
	}
	return err
}

// install copies hook and shim, which somebody may build anew meanwhile.
func (s *soak) install() error {
	if err := os.Mkdir(filepath.Join(s.dir, "bin"), 0o755); err != nil {
		return err
	}
	for _, name := range []string{"timens-hook", "timens-runc"} {
		text, err := os.ReadFile(filepath.Join(s.bin, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(s.dir, "bin", name), text, 0o755)
		}
		if err != nil {
			return fmt.Errorf("%w (make build makes it)", err)
		}
	}
	return nil
}

// inside does it all, as the first process of a PID namespace.
func (s *soak) inside() error {
	group := cgroup{filepath.Base(s.dir)}
	if err := s.prepare(group); err != nil {
		return err
	}
	for i, r := range s.runtimes {
		path, err := filepath.Abs(r.path)
		if err != nil {
			return err
		}
		s.runtimes[i].path = path
		if out, err := exec.Command(path, "--version").Output(); err != nil {
			return fmt.Errorf("%s: %w (make deps installs it)\n%s", r.name, err, out)
		}
	}
	s.kept = make(chan *chain, s.parallel)
	for i := range s.parallel {
		s.kept <- &chain{name: fmt.Sprint("chain-", i)}
	}
	fmt.Printf("soak: %d starts, %d at once, seed %d\n", s.starts, s.parallel, s.seed)
	if s.only >= 0 {
		s.one(s.only)
		return s.result(nil)
	}
	leaks := &leaks{s: s, group: group}
	// What is made once, such as the runtimes' versions in /run, is there by the first count.
	warm := min(20*s.parallel, max(s.starts/10, 1))
	s.run(0, warm)
	leaks.count("begin", warm)
	half := warm + (s.starts-warm)/2
	s.run(warm, half)
	leaks.count("half way", half)
	s.run(half, s.starts)
	leaks.count("end", s.starts)
	return s.result(leaks.judge())
}

// run makes the starts from one number up to another, some at once, and is over when all
// of them are.
func (s *soak) run(from, to int) {
	var wg sync.WaitGroup
	next := atomic.Int64{}
	next.Store(int64(from))
	for range s.parallel {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < to && !s.stop.Load(); i = int(next.Add(1)) - 1 {
				s.one(i)
				if done := i + 1; done%max(s.starts/10, 1) == 0 {
					fmt.Printf("soak: %d starts in %v\n", done, time.Since(s.began).Round(time.Second))
				}
			}
		})
	}
	wg.Wait()
	reapAll()
}

// maxFailures are told; with more, something is wrong with all.
const maxFailures = 20

// one makes one start, which is the same for the same number and seed, but for what
// goes on meanwhile.
func (s *soak) one(i int) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	l := &life{s: s, ctx: ctx, number: i, rand: rand.New(rand.NewPCG(s.seed, uint64(i)))}
	kind, err := l.live()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.did[kind] == nil {
		s.did[kind] = map[string]int{}
	}
	s.did[kind][l.way()]++
	if err != nil {
		if s.failures++; s.failures >= maxFailures {
			s.stop.Store(true)
		}
		fmt.Printf("soak: start %d (%s by %s; -seed %d -only %d): %v\n", i, kind, l.way(), s.seed, i, err)
	}
}

// result prints what was done.
func (s *soak) result(leaked error) error {
	var ways []string
	for _, mechanism := range mechanisms {
		for _, r := range s.runtimes {
			ways = append(ways, mechanism+", "+r.name)
		}
	}
	fmt.Printf("\n| starts | %s |\n|---|%s\n", strings.Join(ways, " | "), strings.Repeat("---|", len(ways)))
	for _, kind := range sortedKeys(s.did) {
		fmt.Printf("| %s |", kind)
		for _, way := range ways {
			fmt.Printf(" %d |", s.did[kind][way])
		}
		fmt.Println()
	}
	for _, note := range sortedKeys(s.notes) {
		fmt.Printf("%d %s\n", s.notes[note], note)
	}
	fmt.Printf("soak: %d reports from inside in %v, seed %d\n", s.reports, time.Since(s.began).Round(time.Second), s.seed)
	if s.failures > 0 {
		leaked = errors.Join(fmt.Errorf("%d starts failed", s.failures), leaked)
	}
	return leaked
}
