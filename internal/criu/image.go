package criu

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

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

// ErrNoImage is what ReadImages' error matches where CRIU has kept no clocks: it was older
// than 3.14, or without root's rights, or the directory is none of its images.
var ErrNoImage = errors.New("CRIU has kept no clocks in the image directory")

// Image is what CRIU has kept of the clocks in a file of this name.
type Image struct {
	Name   string
	Clocks timens.Clocks // inside, at the dump
}

// ReadImages returns the images of clocks in dir, of which there is at least one. The name
// is timens-N.img, where N is CRIU's number of the time namespace, or 0 for a container
// that had none of its own: a directory that is used again may hold an older one as well.
func ReadImages(dir string) (list []Image, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if n := e.Name(); !strings.HasPrefix(n, "timens-") || !strings.HasSuffix(n, ".img") {
			continue
		}
		c, err := readImage(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		list = append(list, Image{e.Name(), c})
	}
	if list == nil {
		return nil, fmt.Errorf("%w %s: there is no timens-*.img", ErrNoImage, dir)
	}
	return list, nil
}

func readImage(path string) (timens.Clocks, error) {
	text, err := readRegular(path, maxImage)
	if err != nil {
		return timens.Clocks{}, err
	}
	c, err := decodeImage(text)
	if err != nil {
		return timens.Clocks{}, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// encodeImage writes what decodeImage reads, as CRIU does.
func encodeImage(c timens.Clocks) []byte {
	var message []byte
	for number, d := range []time.Duration{c.Monotonic, c.Boottime} {
		clock := binary.AppendUvarint([]byte{1<<3 | wireVarint}, uint64(d/time.Second))
		clock = binary.AppendUvarint(append(clock, 2<<3|wireVarint), uint64(d%time.Second))
		message = append(message, byte(number+1)<<3|wireBytes, byte(len(clock)))
		message = append(message, clock...)
	}
	out := binary.LittleEndian.AppendUint32(nil, commonMagic)
	out = binary.LittleEndian.AppendUint32(out, timensMagic)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(message)))
	return append(out, message...)
}

// decodeImage reads the message timens_entry of CRIU's images/timens.proto: 1 is
// monotonic, 2 is boottime, and each is a timespec, whose 1 is seconds and 2 nanoseconds.
//
// It does so by hand. Any package of google.golang.org/protobuf reads the program's own
// file when it starts (internal/detrand), which took 0.1 ms of the start of every container;
// the tests decode the same files by CRIU's definitions, in go-criu.
func decodeImage(text []byte) (c timens.Clocks, err error) {
	if len(text) < headerSize || len(text) > maxImage ||
		binary.LittleEndian.Uint32(text) != commonMagic || binary.LittleEndian.Uint32(text[4:]) != timensMagic {
		return c, errors.New("it is no image of a time namespace")
	}
	message := text[headerSize:]
	if n := binary.LittleEndian.Uint32(text[8:]); uint64(n) != uint64(len(message)) {
		return c, fmt.Errorf("its message has %d bytes instead of %d", len(message), n)
	}
	if c.Monotonic, err = decodeClock(message, 1); err != nil {
		return timens.Clocks{}, err
	}
	c.Boottime, err = decodeClock(message, 2)
	return c, err
}

func decodeClock(message []byte, number uint64) (time.Duration, error) {
	clock, err := field(message, number, wireBytes)
	if err != nil {
		return 0, err
	}
	secs, err := field(clock.bytes, 1, wireVarint)
	if err != nil {
		return 0, err
	}
	nanos, err := field(clock.bytes, 2, wireVarint)
	if err != nil {
		return 0, err
	}
	const most = uint64(1<<63-1)/uint64(time.Second) - 1
	if secs.varint > most || nanos.varint >= uint64(time.Second) {
		return 0, fmt.Errorf("a clock that reads %d s and %d ns", secs.varint, nanos.varint)
	}
	return time.Duration(secs.varint)*time.Second + time.Duration(nanos.varint), nil
}

// The wire types of protobuf that CRIU's message has (protobuf.dev, Encoding). Of those
// that a later one may have, the groups are not known.
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireFixed32 = 5
	maxField    = 1<<29 - 1
)

type value struct {
	varint uint64
	bytes  []byte
}

var errMessage = errors.New("its message is damaged")

// field returns the field of a message that has a number and type, the last one as for
// all readers of protobuf.
func field(message []byte, number, typ uint64) (found value, err error) {
	seen := false
	for len(message) > 0 {
		tag, n := binary.Uvarint(message)
		if field := tag >> 3; n <= 0 || field == 0 || field > maxField {
			return found, errMessage
		}
		v, rest, ok := consume(tag&7, message[n:])
		if !ok {
			return found, errMessage
		}
		if message = rest; tag == number<<3|typ {
			found, seen = v, true
		}
	}
	if !seen {
		return found, fmt.Errorf("its message lacks field %d", number)
	}
	return found, nil
}

// consume reads one value.
func consume(typ uint64, message []byte) (v value, rest []byte, ok bool) {
	size := uint64(0)
	switch typ {
	case wireVarint, wireBytes:
		n, used := binary.Uvarint(message)
		if used <= 0 {
			return v, nil, false
		}
		message = message[used:]
		if typ == wireVarint {
			return value{varint: n}, message, true
		}
		size = n
	case wireFixed64:
		size = 8
	case wireFixed32:
		size = 4
	default:
		return v, nil, false
	}
	if size > uint64(len(message)) {
		return v, nil, false
	}
	return value{bytes: message[:size]}, message[size:], true
}

// missing reports whether there is nothing that the runtime could restore either, and it
// says so better.
func missing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)
}
