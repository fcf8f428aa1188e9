package timens_test

import (
	"fmt"
	"log"
	"os"

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
