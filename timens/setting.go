package timens

// Setting is what a user asks of one clock: an offset to the host's clock, what
// the clock reads when the container is created, or that it goes on from a
// Snapshot. It compares with ==. The zero value asks for nothing.
type Setting struct {
	kind  settingKind
	value Offset
	from  Snapshot
}

type settingKind uint8

const (
	settingNone settingKind = iota
	settingOffset
	settingReads
	settingResumes
)

// OffsetSetting asks for a clock that is v ahead of the host's, or behind when v
// is negative.
func OffsetSetting(v Offset) Setting { return Setting{kind: settingOffset, value: v} }

// ReadsSetting asks for a clock that reads v at creation; v below zero is asked
// for by nobody that the kernel could please, and is refused by Resolve.
func ReadsSetting(v Offset) Setting { return Setting{kind: settingReads, value: v} }

// ResumeSetting asks for a clock that goes on from s.
func ResumeSetting(s Snapshot) Setting { return Setting{kind: settingResumes, from: s} }

// IsZero reports whether nothing is asked.
func (s Setting) IsZero() bool { return s.kind == settingNone }

// Reads reports whether s names a reading: the forms with "=", and what goes on from a
// Snapshot.
func (s Setting) Reads() bool { return s.kind == settingReads || s.kind == settingResumes }

// Resumes returns the Snapshot that s goes on from, and whether it does.
func (s Setting) Resumes() (Snapshot, bool) { return s.from, s.kind == settingResumes }

// Value returns the offset, or the reading with "=", that s was made of.
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
	case settingResumes:
		v, err := s.from.reads(c, h)
		if err != nil {
			return Offset{}, err
		}
		return v.Sub(OffsetOf(h.Clocks.Get(c)))
	}
	return h.Own.Get(c), nil
}

// String returns the canonical form that ParseSetting reads back: "+1d12h",
// "-0.5s", "=0", or "" for a Setting that asks for nothing; or that of a Snapshot.
func (s Setting) String() string {
	switch s.kind {
	case settingOffset:
		return s.value.String()
	case settingReads:
		if s.value.Sign() < 0 {
			return "=" + s.value.String()
		}
		return "=" + formatSpan(uint64(s.value.secs), s.value.nanos)
	case settingResumes:
		return s.from.String()
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
