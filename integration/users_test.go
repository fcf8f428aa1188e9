package integration

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// usersDir is where the tests keep the machine's user database with one more
// user. It is mounted over /etc for the tests alone.
const usersDir = "users"

// plainUser is a user without any privilege, who may map subIDs.
const (
	plainUser = 4242
	subIDs    = 1 << 20
	subCount  = 1 << 16
)

func prepareUsers() error {
	dir := filepath.Join(base, usersDir)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	for name, line := range map[string]string{
		"passwd": fmt.Sprintf("timenstest:x:%d:%d::/nonexistent:/bin/sh\n", plainUser, plainUser),
		"group":  fmt.Sprintf("timenstest:x:%d:\n", plainUser),
		"subuid": fmt.Sprintf("timenstest:%d:%d\n", subIDs, subCount),
		"subgid": fmt.Sprintf("timenstest:%d:%d\n", subIDs, subCount),
	} {
		target := "/etc/" + name
		old, err := os.ReadFile(target)
		if os.IsNotExist(err) {
			continue // no uidmap package: what needs it says so
		}
		if err != nil {
			return err
		}
		ours := filepath.Join(dir, name)
		if err := os.WriteFile(ours, append(old, line...), 0o644); err != nil {
			return err
		}
		if err := unix.Mount(ours, target, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mounting over %s: %w", target, err)
		}
	}
	return nil
}
