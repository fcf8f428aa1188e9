package private

import (
	"fmt"
	"io/fs"
	"os"
)

// Open opens the folder at path, which nobody else can have written to. It must be there
// itself: a link, in a folder that others can write to, would have us write to wherever
// they like.
func Open(path string) (*os.Root, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	if err := checkOpened(path, root); err != nil {
		root.Close()
		return nil, err
	}
	return root, nil
}

func checkOpened(path string, root *os.Root) error {
	opened, err := root.Stat(".")
	if err != nil {
		return err
	}
	if err := Check(path, opened); err != nil {
		return err
	}
	var named fs.FileInfo
	if named, err = os.Lstat(path); err != nil {
		return err
	}
	if !os.SameFile(opened, named) {
		return fmt.Errorf("%s is a symbolic link, or was replaced meanwhile: put the folder itself there", path)
	}
	return nil
}
