package early

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"oci-timens/internal/testenv"
)

// TestCalm has the environment and the timer slack changed, and changed back.
func TestCalm(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	was := timerSlack(t)
	if was == slackIs || was == 0 {
		testenv.Lacks(t, "a thread with a timer slack as usual", fmt.Sprintf("it is %d ns", was))
	}
	for env, adds := range map[string]bool{"": true, "A=1": true, "A=1 GOMAXPROC=2 GOMAXPROCSX=3": true, "GOMAXPROCS=2": false, "A=1 GOMAXPROCS= B=2": false} {
		var words []string
		word := func(text string) uintptr {
			words = append(words, text+"\x00")
			return uintptr(unsafe.Pointer(unsafe.StringData(words[len(words)-1])))
		}
		const below, auxv = 1, 12345
		stack := []uintptr{below, below, below, 2, word("timens-hook"), word("poststart"), 0}
		for _, v := range strings.Fields(env) {
			stack = append(stack, word(v))
		}
		want := slices.Clone(stack)
		if adds {
			added := uintptr(unsafe.Pointer(unsafe.StringData(procs)))
			want = append(append([]uintptr{below}, stack[3:]...), added, added)
		}
		stack, want = append(stack, 0, auxv), append(want, 0, auxv)
		at := entry(&stack[3])
		if moved := at == &stack[1]; moved != adds || !moved && at != &stack[3] {
			t.Errorf("%q: it is at %p, and was at %p", env, at, &stack[3])
		}
		if !slices.Equal(stack, want) || added != adds {
			t.Errorf("%q: the stack is %x, want %x; added: %v", env, stack, want, added)
		}
		if got := timerSlack(t); got != slackIs {
			t.Errorf("%q: the timer slack is %d ns", env, got)
		}
		t.Setenv(variable, "1")
		Undo()
		if value, set := os.LookupEnv(variable); set != !adds {
			t.Errorf("%q: then %s=%q, %v", env, variable, value, set)
		}
		if got := timerSlack(t); got != was {
			t.Errorf("%q: then the timer slack is %d ns, and was %d", env, got, was)
		}
		added, slackWas = false, 0
		runtime.KeepAlive(words)
	}
}

func timerSlack(t *testing.T) int {
	t.Helper()
	slack, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	return slack
}

func TestStrings(t *testing.T) {
	text := unsafe.StringData("create\x00")
	if rest := Behind(text, "crea"); rest == nil || *rest != 't' || *Next(rest) != 'e' {
		t.Error("what comes behind a beginning is not found")
	}
	if Behind(text, "created") != nil || Behind(text, "x") != nil || Behind(text, "") != text {
		t.Error("a string begins with what it does not begin with")
	}
	if !Is(text, "create") || Is(text, "creat") || Is(text, "created") || Is(text, "") {
		t.Error("strings are equal that are not")
	}
}

var (
	asmFunction = regexp.MustCompile(`^(\S+) STEXT `)
	asmOffset   = regexp.MustCompile(`^\d+$`)
	asmLine     = regexp.MustCompile(`^\s+0x[0-9a-f]+ \d+ \(([^)]*)\)\s+(CALL|BL|DUFF\w*|JMP|B)\s+(.*)$`)
)

// TestCalls has the compiler tell what the functions call that run early, here and in the shim,
// also where others are a part of them: each other, and raw system calls; nothing of Go's
// runtime, which is not there yet.
func TestCalls(t *testing.T) {
	functions := earlyFunctions(t)
	for _, arch := range []string{"amd64", "arm64"} {
		cmd := exec.Command("go", "build", "-gcflags=-S", ".", "../../shim")
		cmd.Env = append(os.Environ(), "GOARCH="+arch, "CGO_ENABLED=0")
		text, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		var in string
		seen, calls := map[string]bool{}, map[string]string{}
		for line := range strings.Lines(string(text)) {
			if m := asmFunction.FindStringSubmatch(line); m != nil {
				if in = ""; slices.Contains(functions, m[1]) {
					in, seen[m[1]] = m[1], true
				}
			}
			m := asmLine.FindStringSubmatch(strings.TrimRight(line, "\n"))
			if m == nil || in == "" {
				continue
			}
			to := strings.TrimSuffix(m[3], "(SB)")
			if to == m[3] && (m[2] == "JMP" || m[2] == "B") && asmOffset.MatchString(to) {
				continue // within the function
			}
			calls[to] = in
		}
		for to, from := range calls {
			if to != "syscall.RawSyscall" && to != "syscall.RawSyscall6" && !slices.Contains(functions, to) {
				t.Errorf("%s: %s calls %s", arch, from, to)
			}
		}
		if len(seen) != len(functions) || calls["syscall.RawSyscall6"] == "" || calls["oci-timens/shim.earlyRoute"] == "" {
			t.Errorf("%s: %d functions of %d are seen, and calls %v", arch, len(seen), len(functions), calls)
		}
	}
}

// earlyFunctions are those of the files, which may not grow the stack, nor be instrumented.
func earlyFunctions(t *testing.T) (names []string) {
	t.Helper()
	function := regexp.MustCompile(`(?m)^func (\w+)`)
	for _, file := range []string{"early.go", "calm.go", "../../shim/early.go", "../../shim/earlycreate.go"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		pkg := "oci-timens/internal/early."
		if filepath.Dir(file) != "." {
			pkg = "oci-timens/shim."
		}
		for _, m := range function.FindAllStringSubmatch(string(text), -1) {
			if slices.Contains([]string{"Undo", "growStack", "touch"}, m[1]) {
				continue // for when Go's runtime is there
			}
			names = append(names, pkg+m[1])
			if !strings.Contains(string(text), "//go:nosplit\n//go:norace\n//go:nocheckptr\nfunc "+m[1]+"(") {
				t.Errorf("%s: %s may grow the stack, or be instrumented", file, m[1])
			}
		}
	}
	return names
}
