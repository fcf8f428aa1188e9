package lowlevel

import (
	"os"
	"path/filepath"
	"strings"
)

// CompanionDirs are where programs of ours are installed.
var CompanionDirs = []string{"/usr/libexec/oci/hooks.d", "/usr/local/libexec/oci/hooks.d", "/usr/bin", "/usr/local/bin"}

// hookDir is where the hook is installed, below the same folder as bin.
const hookDir = "/libexec/oci/hooks.d"

// Companion returns the path of another program of ours, such as timens-hook:
// beside the running one, else installed along with it, else in CompanionDirs, or
// "" when there is none.
func Companion(program string) string {
	dirs := CompanionDirs
	if self, err := os.Executable(); err == nil {
		dirs = append(installedWith(filepath.Dir(self)), dirs...)
	}
	return companionIn(dirs, program)
}

// installedWith lists the places that belong together with dir, dir first: of two
// installations, such as those in /usr and in /usr/local, each uses its own.
func installedWith(dir string) []string {
	if prefix, ok := strings.CutSuffix(dir, hookDir); ok {
		return []string{dir, prefix + "/bin"}
	}
	if prefix, ok := strings.CutSuffix(dir, "/bin"); ok {
		return []string{dir, prefix + hookDir}
	}
	return []string{dir}
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
