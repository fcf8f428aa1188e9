package timens

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseCgroups(t *testing.T) {
	got := parseCgroups("3:cpuset:/\n2:name=systemd:/a:b\n1:cpu,cpuacct:/\n0::/a:b\n")
	if diff := cmp.Diff([]string{"/", "/a:b"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestParseStartTicks(t *testing.T) {
	got, err := parseStartTicks("7 (a) b (c) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 0 0\n")
	if err != nil || got != 4242 {
		t.Errorf("got %d, %v", got, err)
	}
	if _, err := parseStartTicks("7 (a) S"); err == nil || err.Error() != `no start time in its stat "7 (a) S"` {
		t.Errorf("got %v", err)
	}
}

func TestParsePinned(t *testing.T) {
	got := parsePinned(`32 26 0:4 time:[4026532177] /run/my\040clocks\134 rw shared:7 - nsfs nsfs rw
33 26 0:4 net:[4026532178] /run/netns/a rw shared:7 - nsfs nsfs rw
34 26 8:1 / /mnt rw - ext4 /dev/sda1 rw
`)
	if diff := cmp.Diff([]Pinned{{4026532177, `/run/my clocks\`}}, got); diff != "" {
		t.Error(diff)
	}
}

// The test's own process is found, in the namespaces that reading it alone gives.
func TestTasks(t *testing.T) {
	list, _, err := Tasks()
	if err != nil {
		t.Fatal(err)
	}
	ns, err := ReadNamespaces(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	p, err := OpenProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	threads, err := p.ThreadNamespaces()
	if err != nil {
		t.Fatal(err)
	}
	if len(threads) != 1 || threads[ns] == 0 {
		t.Errorf("ThreadNamespaces() = %v, want all in %v", threads, ns)
	}
	for _, task := range list {
		if task.PID == os.Getpid() {
			if task.Namespaces != ns || task.Name == "" {
				t.Errorf("Tasks() has %+v, want it in %+v", task, ns)
			}
			return
		}
	}
	t.Errorf("Tasks() lacks this process, %d", os.Getpid())
}
