package timens

// Setting is what a user asks of one clock: an offset to the host's clock, or
// what the clock reads when the container is created. It compares with ==. The
// zero value asks for nothing.
type Setting struct {
	kind  settingKind
	value Offset
}

type settingKind uint8

const (
	settingNone settingKind = iota
	settingOffset
	settingReads
)

// OffsetSetting asks for a clock that is v ahead of the host's, or behind when v
// is negative.
func OffsetSetting(v Offset) Setting { return Setting{settingOffset, v} }

// ReadsSetting asks for a clock that reads v at creation; v below zero is asked
// for by nobody that the kernel could please, and is refused by Resolve.
func ReadsSetting(v Offset) Setting { return Setting{settingReads, v} }

// IsZero reports whether nothing is asked.
func (s Setting) IsZero() bool { return s.kind == settingNone }

// Reads reports whether s names a reading (the forms with "=").
func (s Setting) Reads() bool { return s.kind == settingReads }

// Value returns the offset, or the reading, that s was made of.
func (s Setting) Value() Offset { return s.value }

// Resolve returns the offset to the initial time namespace that gives clock c
// what s asks for. A Setting that asks for nothing keeps the clock as the
// reader has it. The result is not yet checked against the kernel's limits.
func (s Setting) Resolve(c Clock, h Host) (Offset, error) {
	switch s.kind {
	case settingOffset:
		return h.Own.Get(c).Add(s.value)
	case settingReads:
		if s.value.Sign() < 0 {
			return Offset{}, &ParseError{Input: s.String(), Msg: "a clock cannot read less than zero"}
		}
		return s.value.Sub(OffsetOf(h.Clocks.Get(c)))
	}
	return h.Own.Get(c), nil
}

// String returns the canonical form that ParseSetting reads back: "+1d12h",
// "-0.5s", "=0", or "" for a Setting that asks for nothing.
func (s Setting) String() string {
	switch s.kind {
	case settingOffset:
		return s.value.String()
	case settingReads:
		if s.value.Sign() < 0 {
			return "=" + s.value.String()
		}
		return "=" + formatSpan(uint64(s.value.secs), s.value.nanos)
	}
	return ""
}

// MarshalText implements encoding.TextMarshaler with String's form.
func (s Setting) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler with ParseSetting.
func (s *Setting) UnmarshalText(text []byte) error {
	p, err := ParseSetting(string(text))
	if err == nil {
		*s = p
	}
	return err
}
