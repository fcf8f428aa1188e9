package timens_test

import (
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"oci-timens/timens"
)

func ExampleParseSetting() {
	for _, s := range []string{"+36h", "-1d2h3.5s", "90061.000000042", "=0"} {
		setting, err := timens.ParseSetting(s)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(setting, setting.Reads())
	}
	_, err := timens.ParseSetting("36x")
	fmt.Println(err)
	// Output:
	// +1d12h false
	// -1d2h3.5s false
	// +1d1h1m1.000000042s false
	// =0 true
	// "36x": unknown unit "x" (units are d h m s ms us ns) at position 3
}

func ExampleOffset() {
	half, err := timens.NewOffset(-1, 500_000_000)
	if err != nil {
		log.Fatal(err)
	}
	day, err := timens.ParseOffset("1d")
	if err != nil {
		log.Fatal(err)
	}
	sum, err := day.Add(half)
	fmt.Println(half, sum, err)
	fmt.Print(timens.Offsets{Monotonic: half, Boottime: sum}.KernelText())
	// Output:
	// -0.5s +23h59m59.5s <nil>
	// 1 -1 500000000
	// 7 86399 500000000
}

// A service that is to meet day 49 of uptime, where 32-bit milliseconds wrap.
func ExampleCommand() {
	if os.Geteuid() != 0 {
		fmt.Println("up 49 days")
		return
	}
	uptime, err := timens.ParseSetting("=49d17h")
	if err != nil {
		log.Fatal(err)
	}
	host, err := timens.ReadHost()
	if err != nil {
		log.Fatal(err)
	}
	boottime, err := uptime.Resolve(timens.Boottime, host)
	if err != nil {
		log.Fatal(err)
	}
	cmd := timens.Command(timens.Offsets{Boottime: boottime}, "awk", `{print "up", int($1/86400), "days"}`, "/proc/uptime")
	cmd.Stdout = os.Stdout
	if err := cmd.Run(); err != nil {
		log.Fatal(err)
	}
	// Output: up 49 days
}

// A namespace without a process in it, to be entered later: by nsenter(1) here, or
// by a container whose config.json has a time namespace with this path.
func ExampleCreate() {
	if os.Geteuid() != 0 {
		fmt.Println("pinned, with boottime +1d")
		return
	}
	ns, err := timens.Create(timens.Offsets{Boottime: timens.OffsetOf(24 * time.Hour)})
	if err != nil {
		log.Fatal(err)
	}
	defer ns.Close()
	dir, err := os.MkdirTemp("", "timens")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "tomorrow")
	if err := ns.Pin(path); err != nil {
		log.Fatal(err)
	}
	// nsenter --time=PATH uptime
	fmt.Println("pinned, with boottime", ns.Offsets().Boottime)
	if err := timens.Unpin(path); err != nil {
		log.Fatal(err)
	}
	// Output: pinned, with boottime +1d
}

// A process that another program has started, and that has yet to exec.
func ExampleInject() {
	if os.Geteuid() != 0 {
		fmt.Println("monotonic +1h, boottime +2h <nil>")
		return
	}
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		log.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	p, err := timens.OpenProcess(cmd.Process.Pid)
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close()
	want := timens.Offsets{Monotonic: timens.OffsetOf(time.Hour), Boottime: timens.OffsetOf(2 * time.Hour)}
	if err := timens.Inject(p, want); err != nil {
		log.Fatal(err)
	}
	fmt.Println(p.Offsets())
	// Output: monotonic +1h, boottime +2h <nil>
}
