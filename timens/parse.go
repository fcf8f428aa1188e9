package timens

import (
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
)

// ParseError says what is wrong with a clock setting, and where.
type ParseError struct {
	Input string
	Pos   int // byte offset into Input, from 0
	Msg   string
}

// Error quotes the input, and counts positions from 1 as people do.
func (e *ParseError) Error() string {
	in := e.Input
	if len(in) > 64 {
		in = in[:64] + "…"
	}
	return fmt.Sprintf("%q: %s at position %d", in, e.Msg, e.Pos+1)
}

// unit is a unit of a clock setting; nanos is its length.
type unit struct {
	name  string
	nanos uint64
}

// units from long to short, the order in which a setting must name them.
var units = [...]unit{
	{"d", 86400 * nanosPerSecond},
	{"h", 3600 * nanosPerSecond},
	{"m", 60 * nanosPerSecond},
	{"s", nanosPerSecond},
	{"ms", 1_000_000},
	{"us", 1_000},
	{"ns", 1},
}

const unitSeconds = 3 // index of "s" in units

// ParseSetting reads a clock setting: an offset as for ParseOffset, or "=" and
// an unsigned span for what the clock reads at creation ("=0", "=49d17h").
// Errors are *ParseError.
func ParseSetting(s string) (Setting, error) {
	if strings.HasPrefix(s, "=") {
		p := parser{in: s, pos: 1}
		secs, nanos, err := p.span()
		if err != nil {
			return Setting{}, err
		}
		v, err := p.signed(secs, nanos, false)
		if err != nil {
			return Setting{}, err
		}
		return ReadsSetting(v), nil
	}
	v, err := ParseOffset(s)
	if err != nil {
		return Setting{}, err
	}
	return OffsetSetting(v), nil
}

// ParseOffset reads an offset: an optional sign and a span. A span is a number
// of seconds ("90061.000000042") or numbers with the units d, h, m, s, ms, us
// and ns, each at most once and from long to short ("1d2h3.5s"). The last number
// may have a fraction. Values are exact: what is no whole number of nanoseconds
// is an error. Errors are *ParseError.
func ParseOffset(s string) (Offset, error) {
	p := parser{in: s}
	negative := strings.HasPrefix(s, "-")
	if negative || strings.HasPrefix(s, "+") {
		p.pos++
	}
	secs, nanos, err := p.span()
	if err != nil {
		return Offset{}, err
	}
	return p.signed(secs, nanos, negative)
}

type parser struct {
	in  string
	pos int
}

func (p *parser) fail(pos int, format string, args ...any) error {
	return &ParseError{Input: p.in, Pos: pos, Msg: fmt.Sprintf(format, args...)}
}

// signed makes an offset of a magnitude.
func (p *parser) signed(secs uint64, nanos uint32, negative bool) (Offset, error) {
	const limit = uint64(math.MaxInt64)
	switch {
	case !negative && secs <= limit:
		return Offset{int64(secs), nanos}, nil
	case negative && nanos == 0 && secs <= limit+1:
		return Offset{int64(-secs), 0}, nil
	case negative && nanos > 0 && secs <= limit:
		return Offset{-int64(secs) - 1, nanosPerSecond - nanos}, nil
	}
	return Offset{}, p.fail(0, tooLong)
}

// span reads everything from pos to the end.
func (p *parser) span() (secs uint64, nanos uint32, err error) {
	if p.pos == len(p.in) {
		return 0, 0, p.fail(p.pos, "a number is missing")
	}
	next := 0 // the first unit that may still come
	for p.pos < len(p.in) {
		start := p.pos
		n, frac, err := p.number()
		if err != nil {
			return 0, 0, err
		}
		u, err := p.unit(start, next)
		if err != nil {
			return 0, 0, err
		}
		next = u + 1
		if frac != "" && p.pos < len(p.in) {
			return 0, 0, p.fail(p.pos, "text after a number with a fraction, which must be the last,")
		}
		s, ns, wrong := scale(n, frac, units[u].nanos)
		if wrong != "" {
			return 0, 0, p.fail(start, "%s", wrong)
		}
		var carry uint64
		if nanos += ns; nanos >= nanosPerSecond {
			nanos -= nanosPerSecond
			carry = 1
		}
		var o1, o2 uint64
		secs, o1 = bits.Add64(secs, s, 0)
		if secs, o2 = bits.Add64(secs, carry, 0); o1|o2 != 0 {
			return 0, 0, p.fail(start, tooLong)
		}
	}
	return secs, nanos, nil
}

// number reads digits with an optional fraction, whose trailing zeros are dropped.
func (p *parser) number() (n uint64, frac string, err error) {
	start := p.pos
	digits := p.digits()
	if digits == "" {
		return 0, "", p.fail(p.pos, "%s where a digit is needed", p.here())
	}
	n, err = strconv.ParseUint(digits, 10, 64)
	if err != nil {
		return 0, "", p.fail(start, "a number beyond 64 bits")
	}
	if p.pos < len(p.in) && p.in[p.pos] == '.' {
		p.pos++
		if frac = p.digits(); frac == "" {
			return 0, "", p.fail(p.pos, "%s where a digit is needed", p.here())
		}
		return n, strings.TrimRight(frac, "0"), nil
	}
	return n, "", nil
}

func (p *parser) digits() string {
	start := p.pos
	for p.pos < len(p.in) && p.in[p.pos] >= '0' && p.in[p.pos] <= '9' {
		p.pos++
	}
	return p.in[start:p.pos]
}

// here names what stands at pos, for a message.
func (p *parser) here() string {
	if p.pos >= len(p.in) {
		return "the end"
	}
	for i, r := range p.in[p.pos:] {
		if i == 0 {
			return strconv.QuoteRune(r)
		}
	}
	return "the end"
}

// unit reads the unit after the number that began at start and returns its index
// in units. A number alone, the whole span, is in seconds.
func (p *parser) unit(start, next int) (int, error) {
	pos := p.pos
	for p.pos < len(p.in) && p.in[p.pos] >= 'a' && p.in[p.pos] <= 'z' {
		p.pos++
	}
	name := p.in[pos:p.pos]
	if name == "" {
		if p.pos < len(p.in) {
			return 0, p.fail(p.pos, "%s where a unit (d h m s ms us ns) or the end is needed", p.here())
		}
		if next > 0 {
			return 0, p.fail(start, "a number without a unit after one with a unit")
		}
		return unitSeconds, nil
	}
	for i, u := range units {
		if u.name == name {
			if i < next {
				return 0, p.fail(pos, "unit %q after one that is not longer: units go from d to ns, each once,", name)
			}
			return i, nil
		}
	}
	return 0, p.fail(pos, "unknown unit %q (units are d h m s ms us ns)", name)
}

const (
	tooLong = "a span beyond 64-bit seconds"
	tooFine = "more digits than whole nanoseconds can hold"
)

// scale returns n.frac units of unitNanos nanoseconds, or what is wrong with that.
func scale(n uint64, frac string, unitNanos uint64) (secs uint64, nanos uint32, wrong string) {
	hi, lo := bits.Mul64(n, unitNanos)
	if frac != "" {
		f, ok := fraction(frac, unitNanos)
		if !ok {
			return 0, 0, tooFine
		}
		var carry uint64
		lo, carry = bits.Add64(lo, f, 0)
		hi += carry
	}
	if hi >= nanosPerSecond {
		return 0, 0, tooLong
	}
	q, r := bits.Div64(hi, lo, nanosPerSecond)
	return q, uint32(r), ""
}

// fraction returns 0.frac × unitNanos when it is whole. 10^18 is the longest
// power of ten below 2^63, and no exact fraction of a unit here needs more digits.
func fraction(frac string, unitNanos uint64) (uint64, bool) {
	if len(frac) > 18 {
		return 0, false
	}
	f, err := strconv.ParseUint(frac, 10, 64)
	if err != nil {
		return 0, false
	}
	pow := uint64(1)
	for range frac {
		pow *= 10
	}
	hi, lo := bits.Mul64(f, unitNanos)
	q, r := bits.Div64(hi, lo, pow) // f < pow, so hi < pow and the quotient fits
	return q, r == 0
}

// formatSpan writes a span in the canonical form: days, hours, minutes and
// seconds with a fraction as short as it is exact; "0" for none.
func formatSpan(secs uint64, nanos uint32) string {
	var b []byte
	for i, name := range []byte{'d', 'h', 'm'} {
		size := units[i].nanos / nanosPerSecond
		if n := secs / size; n > 0 {
			b = append(strconv.AppendUint(b, n, 10), name)
			secs %= size
		}
	}
	if secs > 0 || nanos > 0 {
		b = strconv.AppendUint(b, secs, 10)
		if nanos > 0 {
			b = append(b, '.')
			b = append(b, strings.TrimRight(fmt.Sprintf("%09d", nanos), "0")...)
		}
		b = append(b, 's')
	}
	if len(b) == 0 {
		return "0"
	}
	return string(b)
}
