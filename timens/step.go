//go:build !timens_testpoints

package timens

// step marks a point of an injection. Built with the tag timens_testpoints, a
// program can be made to die there.
func step(string) {}
