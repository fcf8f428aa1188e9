package lowlevel

import (
	"os"
	"path/filepath"
)

// CompanionDirs are where programs of ours are installed.
var CompanionDirs = []string{"/usr/libexec/oci/hooks.d", "/usr/local/libexec/oci/hooks.d", "/usr/bin", "/usr/local/bin"}

// Companion returns the path of another program of ours, such as timens-hook,
// beside the running one or in CompanionDirs, or "" when there is none.
func Companion(program string) string {
	dirs := CompanionDirs
	if self, err := os.Executable(); err == nil {
		dirs = append([]string{filepath.Dir(self)}, dirs...)
	}
	return companionIn(dirs, program)
}

func companionIn(dirs []string, program string) string {
	for _, dir := range dirs {
		p := filepath.Join(dir, program)
		if info, err := os.Stat(p); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0 {
			return p
		}
	}
	return ""
}
