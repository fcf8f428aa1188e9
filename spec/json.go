package spec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"unicode/utf8"
)

// checkObject reports what keeps data from being one JSON object in UTF-8, with
// the line and column where that can be told.
func checkObject(data []byte) error {
	text := bytes.TrimLeft(data, " \t\r\n")
	if len(text) == 0 {
		return errors.New("empty, where a JSON object is needed")
	}
	if bytes.HasPrefix(data, []byte("\xef\xbb\xbf")) {
		return errors.New("a byte order mark at the start, which JSON does not allow: save it as plain UTF-8")
	}
	if !utf8.Valid(data) {
		return fmt.Errorf("%s: invalid UTF-8", position(data, invalidAt(data)))
	}
	if !json.Valid(data) {
		return syntaxError(data)
	}
	if k := kindOf(text[0]); k != anObject {
		return fmt.Errorf("%s, where a JSON object is needed", k)
	}
	return nil
}

func invalidAt(data []byte) int {
	i := 0
	for i < len(data) {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 {
			break
		}
		i += n
	}
	return i
}

// syntaxError returns what encoding/json says about invalid data, and where.
func syntaxError(data []byte) error {
	var raw json.RawMessage
	err := json.Unmarshal(data, &raw)
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) {
		return err
	}
	// Offset counts the bytes read, up to and with the bad one.
	return fmt.Errorf("%s: %w", position(data, max(int(syntax.Offset)-1, 0)), err)
}

// position names a byte by line and column, both from 1.
func position(data []byte, at int) string {
	before := data[:min(at, len(data))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := len(before) - bytes.LastIndexByte(before, '\n')
	return fmt.Sprintf("line %d, column %d", line, column)
}

// Names of the JSON types, for messages.
const (
	anObject = "an object"
	anArray  = "an array"
	aString  = "a string"
	aNumber  = "a number"
	aBoolean = "a boolean"
	aNull    = "null"
)

// kindOf names the type of the value that begins with c.
func kindOf(c byte) string {
	switch c {
	case '{':
		return anObject
	case '[':
		return anArray
	case '"':
		return aString
	case 't', 'f':
		return aBoolean
	case 'n':
		return aNull
	}
	return aNumber
}

// decode stores a valid JSON value in v. A value of another type is an error in
// JSON's words, where encoding/json speaks Go's. at names the value.
func decode(data []byte, v any, at string) error {
	if decodePlain(data, v) {
		return nil
	}
	err := json.Unmarshal(data, v)
	var typ *json.UnmarshalTypeError
	if !errors.As(err, &typ) {
		return err
	}
	if typ.Field != "" {
		at = joinPath(at, typ.Field)
	}
	return fmt.Errorf("%s is a JSON %s, where %s is needed", at, brief(typ.Value), kindOfType(typ.Type))
}

// decodePlain decodes what is meant as it stands: a string without escapes, an integer
// without exponent. That is nearly all that is read, and the first use of reflection in a
// process costs more than to read it.
func decodePlain(data []byte, v any) bool {
	var err error
	switch to := v.(type) {
	case *string:
		if data[0] != '"' || bytes.IndexByte(data, '\\') >= 0 {
			return false
		}
		*to = string(data[1 : len(data)-1])
	case *int:
		var n int
		if n, err = strconv.Atoi(string(data)); err == nil {
			*to = n
		}
	case *int64:
		var n int64
		if n, err = strconv.ParseInt(string(data), 10, 64); err == nil {
			*to = n
		}
	default:
		return false
	}
	return err == nil
}

func kindOfType(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return aString
	case reflect.Map, reflect.Struct:
		return anObject
	case reflect.Slice:
		return anArray
	case reflect.Int64, reflect.Int:
		return fmt.Sprintf("an integer of %d bits", t.Bits())
	}
	return t.String()
}

// checkText refuses what JSON cannot hold, and encoding/json would replace.
func checkText(texts ...string) error {
	for _, s := range texts {
		if !utf8.ValidString(s) {
			return fmt.Errorf("%q is not UTF-8, which JSON needs", brief(s))
		}
	}
	return nil
}

func joinPath(at, key string) string {
	if at == "" {
		return key
	}
	return at + "." + key
}
