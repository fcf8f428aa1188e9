package engine

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// expr is an expression of a TOML file: a table's header or a key with its value.
// Positions are byte offsets. The file is valid: go-toml has read it.
type expr struct {
	path           []string // from the root, with the table's
	table, array   bool     // [header], [[header]]
	start, end     int      // whole lines
	valStart, vEnd int      // the value
}

// decodeTOML reads a file. An error names it, and the line.
func decodeTOML(name string, data []byte, v any) error {
	err := toml.Unmarshal(data, v)
	var decode *toml.DecodeError
	if errors.As(err, &decode) {
		row, col := decode.Position()
		return fmt.Errorf("%s: line %d, column %d: %s", name, row, col, strings.TrimPrefix(decode.Error(), "toml: "))
	}
	if err != nil {
		return fmt.Errorf("%s: %s", name, strings.TrimPrefix(err.Error(), "toml: "))
	}
	return nil
}

// tomlScanner goes through the text of a valid file.
type tomlScanner struct {
	data []byte
	i    int
}

func scanTOML(data []byte) (list []expr) {
	s := &tomlScanner{data: data}
	var prefix []string
	for {
		start := s.i
		s.skip(" \t\r\n")
		if nl := strings.LastIndexByte(string(data[start:s.i]), '\n'); nl >= 0 {
			start += nl + 1
		}
		if s.i >= len(data) {
			return list
		}
		if data[s.i] == '#' {
			s.line()
			continue
		}
		e := expr{start: start}
		if data[s.i] == '[' {
			e.table = true
			s.i++
			if data[s.i] == '[' {
				e.array = true
				s.i++
			}
			e.path = s.key()
			prefix = e.path
		} else {
			e.path = slices.Concat(prefix, s.key())
			s.i++ // =
			s.skip(" \t")
			e.valStart = s.i
			s.value()
			e.vEnd = s.i
		}
		s.line()
		e.end = s.i
		list = append(list, e)
	}
}

func (s *tomlScanner) skip(set string) {
	for s.i < len(s.data) && strings.IndexByte(set, s.data[s.i]) >= 0 {
		s.i++
	}
}

// line goes behind the end of the line.
func (s *tomlScanner) line() {
	for s.i < len(s.data) {
		s.i++
		if s.data[s.i-1] == '\n' {
			return
		}
	}
}

// key reads a dotted key up to what follows it.
func (s *tomlScanner) key() (parts []string) {
	for {
		s.skip(" \t")
		start := s.i
		if c := s.data[s.i]; c == '"' || c == '\'' {
			s.str()
			var v struct{ K string }
			_ = toml.Unmarshal([]byte("K = "+string(s.data[start:s.i])), &v) // valid: read with the file
			parts = append(parts, v.K)
		} else {
			for strings.IndexByte(".=] \t", s.data[s.i]) < 0 {
				s.i++
			}
			parts = append(parts, string(s.data[start:s.i]))
		}
		s.skip(" \t")
		if s.data[s.i] != '.' {
			return parts
		}
		s.i++
	}
}

// value goes behind a value.
func (s *tomlScanner) value() {
	switch c := s.data[s.i]; c {
	case '"', '\'':
		s.str()
	case '[', '{':
		for depth := 0; ; {
			switch s.data[s.i] {
			case '[', '{':
				depth++
				s.i++
			case ']', '}':
				depth--
				s.i++
			case '"', '\'':
				s.str()
			case '#':
				s.line()
			default:
				s.i++
			}
			if depth == 0 {
				return
			}
		}
	default: // a number, a date or a boolean, up to a comment
		end := s.i
		for end < len(s.data) && strings.IndexByte("#\r\n", s.data[end]) < 0 {
			end++
		}
		s.i += len(strings.TrimRight(string(s.data[s.i:end]), " \t"))
	}
}

// str goes behind a string of any of the four kinds.
func (s *tomlScanner) str() {
	q := s.data[s.i]
	if triple := strings.Repeat(string(q), 3); strings.HasPrefix(string(s.data[s.i:min(s.i+3, len(s.data))]), triple) {
		for s.i += 3; !strings.HasPrefix(string(s.data[s.i:min(s.i+3, len(s.data))]), triple); s.i++ {
			if q == '"' && s.data[s.i] == '\\' {
				s.i++
			}
		}
		for s.i += 3; s.i < len(s.data) && s.data[s.i] == q; s.i++ { // up to two quotes belong to it
		}
		return
	}
	for s.i++; s.data[s.i] != q; s.i++ {
		if q == '"' && s.data[s.i] == '\\' {
			s.i++
		}
	}
	s.i++
}
