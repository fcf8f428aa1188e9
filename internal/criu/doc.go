// Package criu reads what CRIU keeps of the clocks of a container in an image directory,
// and keeps beside it what CRIU does not: which moment of the world's time that was, and
// which offsets the container had. From both it tells the offsets with which the container
// goes on, here or on another host.
//
// CRIU dumps what both clocks read inside. It restores so that both read the same again,
// as if no time had passed: CLOCK_BOOTTIME, which is to count the time for which a machine
// is suspended, loses the gap.
//
// Finding and starting CRIU does not belong here, nor does looking at the tasks of a
// container.
package criu
