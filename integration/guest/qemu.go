package guest

import (
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"oci-timens/internal/testenv"
)

// hardware is how QEMU is told to be a computer of an architecture.
type hardware struct {
	program, pkg string
	args         []string
	cpu          string // where it is emulated
	console      string
}

var hardwares = map[string]hardware{
	// After CMPXCHG16B, QEMU 7.2 sometimes has wrong flags, and the kernel a double fault.
	"amd64": {"qemu-system-x86_64", "qemu-system-x86", []string{"-machine", "pc"}, "max,cx16=off", "ttyS0"},
	// The emulated "max" spends its time on authenticating pointers.
	"arm64": {"qemu-system-aarch64", "qemu-system-arm", []string{"-machine", "virt"}, "cortex-a57", "ttyAMA0"},
}

func (c *Config) defaults(t testing.TB) {
	t.Helper()
	if c.Arch == "" {
		c.Arch = runtime.GOARCH
	}
	h, ok := hardwares[c.Arch]
	if !ok {
		t.Fatalf("guest: no architecture %q", c.Arch)
	}
	if _, err := exec.LookPath(h.program); err != nil {
		testenv.Lacks(t, h.pkg, err)
	}
	if c.Kernel == (Kernel{}) {
		c.Kernel = KernelOf(t, c.Tree)
	}
	if c.Cgroups == 0 {
		c.Cgroups = 2
	}
	if c.Memory == 0 {
		c.Memory = 1024
	}
}

// qemu is the command line. Besides the console, which goes to a file, the guest has a
// channel for the agent, and disks with the tree and the files, which it cannot write to.
func (c Config) qemu(dir, initrd string) ([]string, error) {
	h := hardwares[c.Arch]
	accel, cpu := c.accelerator(h)
	parameters := ""
	if accel != "kvm" && c.Arch == "amd64" {
		parameters = tscFrequency()
	}
	argv := append([]string{h.program}, h.args...)
	argv = append(argv, "-accel", accel, "-cpu", cpu, "-smp", "1", "-m", strconv.Itoa(c.Memory),
		"-nodefaults", "-display", "none", "-no-reboot",
		"-kernel", c.Kernel.Image, "-initrd", initrd,
		// On a busy machine the kernel would doubt the emulated clock and interrupts, which come late.
		"-append", "console="+h.console+" panic=-1 loglevel=4 mitigations=off random.trust_cpu=on tsc=reliable no_timer_check"+
			// What the kernel does not know is a variable of its first process.
			" CGROUPS="+strconv.Itoa(c.Cgroups)+parameters,
		"-chardev", "file,id=console,path="+filepath.Join(dir, "console"), "-serial", "chardev:console",
		"-device", "virtio-serial-pci",
		"-chardev", "socket,id=agent,server=on,wait=off,path="+filepath.Join(dir, "agent"),
		"-device", "virtserialport,chardev=agent")
	for i, folder := range []string{c.Tree, c.Files} {
		if folder == "" {
			continue
		}
		disk, err := diskOf(folder)
		if err != nil {
			return nil, err
		}
		id := "disk" + strconv.Itoa(i)
		argv = append(argv, "-drive", "id="+id+",if=none,format=raw,readonly=on,file="+disk,
			"-device", "virtio-blk-pci,drive="+id)
	}
	return argv, nil
}

// accelerator is KVM where that runs a kernel as it comes: within some clouds' virtual
// machines /dev/kvm is there, and by kvm_pvm, which does not. Emulated processors share a
// thread: with one each, QEMU 7.2 sometimes breaks a kernel that changes its own code.
func (c Config) accelerator(h hardware) (accel, cpu string) {
	if c.Arch == runtime.GOARCH && unix.Access("/dev/kvm", unix.R_OK|unix.W_OK) == nil {
		for _, module := range []string{"kvm_intel", "kvm_amd"} {
			if unix.Access("/sys/module/"+module, unix.F_OK) == nil || c.Arch == "arm64" {
				return "kvm", "host"
			}
		}
	}
	return "tcg,thread=single", h.cpu
}
