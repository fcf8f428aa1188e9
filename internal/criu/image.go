package criu

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"oci-timens/timens"
)

// Magic numbers and layout of an image, criu/include/magic.h and criu/protobuf.c of CRIU
// 4.1.1: IMG_COMMON_MAGIC, TIMENS_MAGIC, the length of one message, and that.
const (
	commonMagic = 0x54564319
	timensMagic = 0x43114433
	headerSize  = 12
	maxImage    = 4096 // the message has some 40 bytes
)

// ErrNoImage is what ReadImage's error matches where CRIU has kept no clocks: it was older
// than 3.14, or without root's rights, or the directory is none of its images.
var ErrNoImage = errors.New("CRIU has kept no clocks in the image directory")

// ReadImage returns what the clocks of a container read when it was dumped to dir.
func ReadImage(dir string) (timens.Clocks, error) {
	name, err := imageName(dir)
	if err != nil {
		return timens.Clocks{}, err
	}
	path := filepath.Join(dir, name)
	f, err := os.Open(path)
	if err != nil {
		return timens.Clocks{}, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxImage+1))
	if err != nil {
		return timens.Clocks{}, err
	}
	c, err := decodeImage(text)
	if err != nil {
		return timens.Clocks{}, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// imageName finds timens-N.img, where N is CRIU's number of the time namespace, or 0 for
// a container that had none of its own. CRIU takes no container with two.
func imageName(dir string) (found string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		if n := e.Name(); !strings.HasPrefix(n, "timens-") || !strings.HasSuffix(n, ".img") {
			continue
		}
		if found != "" {
			return "", fmt.Errorf("%s holds both %s and %s, which are of different checkpoints: use a new image directory for each", dir, found, e.Name())
		}
		found = e.Name()
	}
	if found == "" {
		return "", fmt.Errorf("%s: %w: there is no timens-*.img", dir, ErrNoImage)
	}
	return found, nil
}

// decodeImage reads the message timens_entry of CRIU's images/timens.proto: 1 is
// monotonic, 2 is boottime, and each is a timespec, whose 1 is seconds and 2 nanoseconds.
func decodeImage(text []byte) (c timens.Clocks, err error) {
	if len(text) < headerSize || len(text) > maxImage ||
		binary.LittleEndian.Uint32(text) != commonMagic || binary.LittleEndian.Uint32(text[4:]) != timensMagic {
		return c, errors.New("it is no image of a time namespace")
	}
	message := text[headerSize:]
	if n := binary.LittleEndian.Uint32(text[8:]); uint64(n) != uint64(len(message)) {
		return c, fmt.Errorf("its message has %d bytes instead of %d", len(message), n)
	}
	for _, clock := range []struct {
		number protowire.Number
		to     *time.Duration
	}{{1, &c.Monotonic}, {2, &c.Boottime}} {
		spec, err := field(message, clock.number, protowire.BytesType, protowire.ConsumeBytes)
		if err != nil {
			return c, err
		}
		secs, err := field(spec, 1, protowire.VarintType, protowire.ConsumeVarint)
		if err != nil {
			return c, err
		}
		nanos, err := field(spec, 2, protowire.VarintType, protowire.ConsumeVarint)
		if err != nil {
			return c, err
		}
		if secs > uint64(1<<63-1)/uint64(time.Second)-1 || nanos >= uint64(time.Second) {
			return c, fmt.Errorf("a clock that reads %d s and %d ns", secs, nanos)
		}
		*clock.to = time.Duration(secs)*time.Second + time.Duration(nanos)
	}
	return c, nil
}

// field returns the field of a message that has a number, the last one as for all readers
// of protobuf.
func field[T any](message []byte, number protowire.Number, want protowire.Type, consume func([]byte) (T, int)) (v T, err error) {
	found := false
	for len(message) > 0 {
		n, typ, used := protowire.ConsumeTag(message)
		if used < 0 {
			return v, fmt.Errorf("its message: %w", protowire.ParseError(used))
		}
		message = message[used:]
		if n != number || typ != want {
			if used = protowire.ConsumeFieldValue(n, typ, message); used < 0 {
				return v, fmt.Errorf("its message: %w", protowire.ParseError(used))
			}
			message = message[used:]
			continue
		}
		if v, used = consume(message); used < 0 {
			return v, fmt.Errorf("its message: %w", protowire.ParseError(used))
		}
		message, found = message[used:], true
	}
	if !found {
		return v, fmt.Errorf("its message lacks field %d", number)
	}
	return v, nil
}

// missing reports whether there is nothing that the runtime could restore either, and it
// says so better.
func missing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)
}
