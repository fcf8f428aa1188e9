//go:build !timens_testpoints

package pod

// step marks a point at which a record is made. Built with the tag timens_testpoints, a
// program can be made to die there.
func step(string) {}
