package lowlevel

import (
	"os"
	"strings"
)

// Known lists the programs that Identify has been asked about on this machine since it
// was started, whether their files are the same still or not. It starts none of them, so
// that it can be asked where the machine's files cannot be seen, but /run/oci-timens.
func Known() []Runtime { return known(cacheDirs()) }

func known(dirs []string) (list []Runtime) {
	c := openCache(dirs)
	if c == nil {
		return nil
	}
	defer c.close()
	entries, _ := os.ReadDir(c.path) // what cannot be read is not known
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "runtime-") {
			continue
		}
		if l := c.read(e.Name()); l != nil {
			list = append(list, Runtime{Name: l[1], Version: l[2]})
		}
	}
	return list
}
