package spec

import (
	"bytes"
	"encoding/json"
	"strings"
)

// The scanner finds values in text that encoding/json has found valid, and so
// checks nothing itself. Positions are byte offsets.

// item is a member of an object or an element of an array, whose key is "" and
// of no width.
type item struct {
	key              string
	keyStart, keyEnd int
	start, end       int // the value
}

func skipSpace(data []byte, i int) int {
	for i < len(data) && (data[i] == ' ' || data[i] == '\t' || data[i] == '\r' || data[i] == '\n') {
		i++
	}
	return i
}

// skipString returns the position after the string that begins at i.
func skipString(data []byte, i int) int {
	for {
		i += 1 + bytes.IndexByte(data[i+1:], '"')
		escapes := 0
		for data[i-1-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return i + 1
		}
	}
}

// skipValue returns the position after the value that begins at i.
func skipValue(data []byte, i int) int {
	depth := 0
	for {
		switch data[i] {
		case '"':
			i = skipString(data, i)
		case '{', '[':
			depth++
			i++
		case '}', ']':
			depth--
			i++
		case ',', ':', ' ', '\t', '\r', '\n':
			i++
		default:
			for i < len(data) && strings.IndexByte(",]} \t\r\n", data[i]) < 0 {
				i++
			}
		}
		if depth == 0 {
			return i
		}
	}
}

// items lists what is in the object or array that begins at open, and returns
// the position of its closing bracket.
func items(data []byte, open int) (list []item, end int) {
	object := data[open] == '{'
	for i := skipSpace(data, open+1); ; i = skipSpace(data, i+1) {
		if data[i] == '}' || data[i] == ']' { // only at once: no comma comes before it
			return list, i
		}
		it := item{keyStart: i, keyEnd: i}
		if object {
			it.keyEnd = skipString(data, i)
			it.key = unquote(data[i:it.keyEnd])
			i = skipSpace(data, skipSpace(data, it.keyEnd)+1) // over the colon
		}
		it.start, it.end = i, skipValue(data, i)
		list = append(list, it)
		if i = skipSpace(data, it.end); data[i] != ',' {
			return list, i
		}
	}
}

// unquote returns what a valid JSON string says.
func unquote(quoted []byte) string {
	if inner := string(quoted[1 : len(quoted)-1]); !strings.Contains(inner, `\`) {
		return inner
	}
	var s string
	_ = json.Unmarshal(quoted, &s) // valid: checked with the whole document
	return s
}
