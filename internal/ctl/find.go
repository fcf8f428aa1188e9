package ctl

import (
	"path/filepath"
	"strings"

	"oci-timens/config"
	"oci-timens/internal/lowlevel"
)

// whereFound says where lowlevel.Companion looks.
var whereFound = "it is looked for beside timensctl and in " + strings.Join(lowlevel.CompanionDirs, ", ")

// findRuntimes identifies every candidate that is there, each program once.
func findRuntimes(candidates []string) (list []lowlevel.Runtime, errs []error) {
	seen := map[string]bool{}
	for _, c := range candidates {
		path, err := lowlevel.Find([]string{c})
		if err != nil || seen[path] {
			continue
		}
		seen[path] = true
		r, err := lowlevel.Identify(path)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		list = append(list, r)
	}
	return list, errs
}

// findRuntime returns the low-level runtime at path or, when that is empty, the
// one that the configuration comes to.
func findRuntime(cfg *config.Config, path string) (lowlevel.Runtime, error) {
	if path != "" {
		return identify(path)
	}
	path, err := lowlevel.Find(cfg.Runtimes)
	if err != nil {
		return lowlevel.Runtime{}, err
	}
	return lowlevel.Identify(path)
}

// identify takes a path as a user gives it.
func identify(path string) (lowlevel.Runtime, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return lowlevel.Runtime{}, err
	}
	return lowlevel.Identify(abs)
}
