package shim

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"slices"
	"syscall"

	"oci-timens/spec"
)

// unsafeAnnotations is the list, in what `features` prints, of annotations that
// change what the runtime does. An entry that ends in "." stands for all that
// begin so (runtime-spec, features.md).
const unsafeAnnotations = "potentiallyUnsafeConfigAnnotations"

// features runs the runtime's own command, adds our annotations to what it
// prints, where that is JSON, and returns its exit status.
func (s *shim) features(path string, args []string) (int, error) {
	cmd := exec.Command(path, args...)
	cmd.Stdin, cmd.Stderr = os.Stdin, s.stderr
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return 1, err
	}
	if _, err := s.stdout.Write(withAnnotations(out)); err != nil {
		return 1, err
	}
	ws := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if ws.Signaled() {
		return 128 + int(ws.Signal()), nil // as a shell says it
	}
	return ws.ExitStatus(), nil
}

// withAnnotations adds our entry to the features in out; out is returned as it
// is where it holds something else.
func withAnnotations(out []byte) []byte {
	doc, err := spec.ParseDocument(out)
	if err != nil {
		return out
	}
	raw, ok, err := doc.Get(unsafeAnnotations)
	if err != nil {
		return out
	}
	if ok {
		var have []string
		if json.Unmarshal(raw, &have) == nil && slices.Contains(have, spec.Prefix) {
			return out
		}
	}
	if doc.Append(spec.Prefix, unsafeAnnotations) != nil {
		return out
	}
	return doc.Bytes()
}
