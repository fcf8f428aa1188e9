// Package nri is timens-nri: a plugin of containerd and CRI-O, by the Node Resource
// Interface, that gives the containers of pods the clocks that the pods' annotations ask
// for. It settles what the clocks of a pod are, and has the low-level runtime call
// timens-hook, with these numbers, for each of its containers.
//
// What is asked and whether it is granted is decided by the packages spec, config and
// plan, and what is kept of a pod by package pod. What timens-hook does with a
// container does not belong here: the plugin touches no process, and sees none.
package nri
