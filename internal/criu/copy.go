package criu

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"oci-timens/timens"
)

// readDelay is how long the runtime and CRIU need until CRIU has read its image of the
// clocks, which was 20 to 80 ms in the tests of this repository, unless the machine was busy.
const readDelay = 30 * time.Millisecond

// Copy gives CRIU other clocks to restore than image has: those of a container with offsets
// o on h. It returns the directory of images to name to the runtime that this process is
// about to become, which shows the files of dir, and a copy of image in place of that. It
// is seen so through two open files alone, in a mount namespace without processes: nothing
// is left when the runtime has ended, and what lies in dir is not written to.
//
// It is for a container with a user namespace of its own, which CRIU has entered by the
// time at which it could [Join] another time namespace, and may not. As CRIU reads the copy
// later than it was written, CLOCK_BOOTTIME is off by what that takes more or less than
// readDelay: some 10 ms, and 0.1 s where the machine is busy.
func Copy(dir string, image Image, o timens.Offsets, h timens.Host) (string, error) {
	s, err := timens.TakeSnapshot(o, h)
	if err != nil {
		return "", err
	}
	c := s.Clocks
	c.Boottime += readDelay
	type view struct {
		dir int
		err error
	}
	done := make(chan view)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with this function
		fd, err := overmount(dir, image.Name, encodeImage(c))
		done <- view{fd, err}
	}()
	v := <-done
	if v.err != nil {
		return "", fmt.Errorf("a copy of %s: %w", filepath.Join(dir, image.Name), v.err)
	}
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), v.dir), nil
}

// overmount moves this thread to a mount namespace of its own, puts a file of memory over
// dir/name there, and returns dir as it is seen there, open. Another open file, of the
// namespace, keeps it.
func overmount(dir, name string, text []byte) (seen int, err error) {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil { //nolint:forbidigo // it is no time namespace
		return -1, os.NewSyscallError("unshare(CLONE_NEWNS)", err)
	}
	// What is unmounted elsewhere is unmounted here, and nothing goes the other way.
	if err := unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
		return -1, os.NewSyscallError("mount(MS_SLAVE)", err)
	}
	path := filepath.Join(dir, name)
	file, err := memoryFile(dir, path, text)
	if err != nil {
		return -1, err
	}
	defer unix.Close(file)
	if err := unix.MoveMount(file, "", unix.AT_FDCWD, path, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return -1, os.NewSyscallError("move_mount", err)
	}
	if _, err := openInheritable("/proc/thread-self/ns/mnt", 0); err != nil {
		return -1, err
	}
	return openInheritable(dir, unix.O_DIRECTORY)
}

// memoryFile returns the mount of a file with this text, which is nowhere yet. For a
// moment, and for this thread alone, there is a file system of memory at dir.
func memoryFile(dir, path string, text []byte) (mount int, err error) {
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=700,size=64k"); err != nil {
		return -1, os.NewSyscallError("mount(tmpfs)", err)
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		return -1, err
	}
	if mount, err = unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC); err != nil {
		return -1, os.NewSyscallError("open_tree", err)
	}
	return mount, os.NewSyscallError("umount", unix.Unmount(dir, unix.MNT_DETACH))
}

func openInheritable(path string, flags int) (int, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|flags, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	return inheritable(fd)
}
