package timens

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// wait is a process of a container that does nothing until its input ends.
func wait() {
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
}

// haveChild is one with a child, in a PID namespace of the child's own.
func haveChild() {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "TIMENS_TEST_ROLE=wait")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		fatal(err)
	}
}

// haveShiftedChild is one with a child whose child has other clocks.
func haveShiftedChild() {
	self, err := os.Executable()
	if err != nil {
		fatal(err)
	}
	cmd := exec.Command("unshare", "--time", "--fork", self)
	cmd.Env = append(os.Environ(), "TIMENS_TEST_ROLE=wait")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		fatal(err)
	}
}

// haveThread is one with a thread whose children would have other clocks.
func haveThread() {
	go onSpareThread(func() {
		if err := unix.Unshare(unix.CLONE_NEWTIME); err != nil {
			fatal(err)
		}
		wait()
		os.Exit(0)
	})
	select {}
}

// TestReadContainer looks at processes in PID namespaces of their own.
func TestReadContainer(t *testing.T) {
	requireRoot(t)
	for _, tt := range []struct {
		role      string
		processes int
		strays    []string
	}{
		{"wait", 1, nil},
		{"child", 2, nil},
		{"shifted child", 3, []string{"unshare, with children elsewhere", "other process elsewhere"}},
		{"thread", 1, []string{"thread of init, with children elsewhere"}},
	} {
		t.Run(tt.role, func(t *testing.T) {
			init := startContainer(t, tt.role)
			c := readContainer(t, init.Pid)
			var strays []string
			for _, s := range c.Strays {
				own := c.Namespaces.Time
				what := fmt.Sprintf("unexpected: %+v", s)
				switch here := s.Namespaces.Time == own; {
				case here && s.Namespaces.ForChildren == own:
				case here && s.Name == "unshare" && s.PID == s.TID:
					what = "unshare, with children elsewhere"
				case here && s.PID == init.Pid && s.TID != s.PID:
					what = "thread of init, with children elsewhere"
				case !here && s.PID != init.Pid && s.Name != "unshare":
					what = "other process elsewhere"
				}
				if !slices.Contains(strays, what) {
					strays = append(strays, what) // a process has many threads
				}
			}
			if c.Processes != tt.processes || c.Threads < c.Processes || !slices.Equal(strays, tt.strays) {
				t.Errorf("%q: %+v", strays, c)
			}
		})
	}
}

// TestReadContainerEntered looks at one that a process has entered which is no
// descendant of its init.
func TestReadContainerEntered(t *testing.T) {
	requireRoot(t)
	init := startContainer(t, "wait")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("nsenter", "--target", strconv.Itoa(init.Pid), "--pid", "--", self)
	nsenter := startRole(t, cmd, "wait")
	if c := readContainer(t, init.Pid); c.Processes != 2 || len(c.Strays) != 0 {
		t.Errorf("got %+v", c)
	}
	// As the init of a container in a pod that shares its PID namespace, it is alone.
	root, err := proc()
	if err != nil {
		t.Fatal(err)
	}
	children, err := childrenOf(root, nsenter.Pid)
	if err != nil || len(children) != 1 {
		t.Fatalf("%d, %v", children, err)
	}
	if c := readContainer(t, children[0]); c.Processes != 1 {
		t.Errorf("got %+v", c)
	}
}

// TestInNamespace compares what needs a newer kernel with what does not.
func TestInNamespace(t *testing.T) {
	requireRoot(t)
	init := startContainer(t, "wait")
	root, err := proc()
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(fmt.Sprintf("/proc/%d/ns/pid", init.Pid))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	id, err := namespaceID(root, fmt.Sprintf("%d/ns/pid", init.Pid))
	if err != nil {
		t.Fatal(err)
	}
	byLink, byNamespace := linksTo(root, "pid", id), inNamespace(int(f.Fd()))
	if !byLink(init.Pid) || byLink(os.Getpid()) || byLink(1<<22) {
		t.Error("links tell otherwise")
	}
	if major, minor := kernelVersion(); major > 6 || major == 6 && minor >= 11 {
		if !byNamespace(init.Pid) || byNamespace(os.Getpid()) || byNamespace(1<<22) {
			t.Error("the namespace tells otherwise")
		}
	}
}

func readContainer(t *testing.T, pid int) Container {
	t.Helper()
	p, err := OpenProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	c, err := p.ReadContainer()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// startContainer starts a process that is the first in a PID namespace.
func startContainer(t *testing.T, role string) *os.Process {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID}
	return startRole(t, cmd, role)
}

// startRole starts a process, waits until it, or its child, says that it is ready, and
// ends it with the test.
func startRole(t *testing.T, cmd *exec.Cmd, role string) *os.Process {
	t.Helper()
	cmd.Env = append(os.Environ(), "TIMENS_TEST_ROLE="+role)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("%q, %v", line, err)
	}
	return cmd.Process
}

func TestFreezerPath(t *testing.T) {
	for _, tt := range []struct {
		text string
		v1   bool
		path string
	}{
		{"0::/a/b\n", false, "/a/b"},
		{"9:name=systemd:/s\n6:freezer:/f:1\n0::/u\n", true, "/f:1"},
		{"4:cpu,freezer:/f\n", true, "/f"},
		{"9:name=freezer:/s\n", false, ""},
		{"", false, ""},
	} {
		if v1, path := freezerPath(tt.text); v1 != tt.v1 || path != tt.path {
			t.Errorf("%q: %v, %q", tt.text, v1, path)
		}
	}
}

func TestCgroupDir(t *testing.T) {
	const mounts = `31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
37 31 0:34 / /sys/fs/cgroup/freezer rw,relatime - cgroup cgroup rw,freezer
41 31 0:38 /pod /sys/fs/cgroup/uni\040fied rw,relatime shared:9 - cgroup2 cgroup2 rw
`
	got := map[string]string{}
	for _, path := range []string{"/pod", "/pod/a", "/podium", "/"} {
		got["v2 "+path], got["v1 "+path] = cgroupDir(mounts, false, path), cgroupDir(mounts, true, path)
	}
	want := map[string]string{
		"v1 /pod": "/sys/fs/cgroup/freezer/pod", "v1 /pod/a": "/sys/fs/cgroup/freezer/pod/a", "v1 /podium": "/sys/fs/cgroup/freezer/podium", "v1 /": "/sys/fs/cgroup/freezer",
		"v2 /pod": "/sys/fs/cgroup/uni fied", "v2 /pod/a": "/sys/fs/cgroup/uni fied/a", "v2 /podium": "", "v2 /": "",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// BenchmarkReadContainer is what a checkpoint pays, on a machine with the processes
// that it has.
func BenchmarkReadContainer(b *testing.B) {
	if os.Geteuid() != 0 {
		b.Skip("this is another user")
	}
	cmd := exec.Command("sleep", "1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	for b.Loop() {
		p, err := OpenProcess(cmd.Process.Pid)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := p.ReadContainer(); err != nil {
			b.Fatal(err)
		}
		p.Close()
	}
}
