// Package guest starts virtual machines for tests: QEMU with a kernel of one's choice, the
// files of an unpacked distribution, and an agent that runs commands. What is written in
// a guest is in its memory, and gone with it. It needs neither root nor a network, and
// where KVM cannot be used, the processor is emulated.
//
// No engine, runtime or test is known here. Where the kernel of this machine will do,
// package machine is quicker.
package guest
