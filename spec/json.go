package spec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
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
	var raw json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return syntaxError(data, err)
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

// syntaxError adds the position to what encoding/json says.
func syntaxError(data []byte, err error) error {
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) {
		return err
	}
	// Offset counts the bytes read up to and with the bad one; at the end of the
	// input there is none.
	if int(syntax.Offset) >= len(data) && err.Error() == "unexpected end of JSON input" {
		return fmt.Errorf("%s: %w: the text is cut short", position(data, len(data)), err)
	}
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
	err := json.Unmarshal(data, v)
	var typ *json.UnmarshalTypeError
	if !errors.As(err, &typ) {
		return err
	}
	if typ.Field != "" {
		at = joinPath(at, typ.Field)
	}
	return fmt.Errorf("%s is a JSON %s, where %s is needed", at, typ.Value, kindOfType(typ.Type))
}

func kindOfType(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return aString
	case reflect.Map, reflect.Struct:
		return anObject
	case reflect.Slice, reflect.Array:
		return anArray
	case reflect.Bool:
		return aBoolean
	case reflect.Int64, reflect.Int, reflect.Uint32:
		return fmt.Sprintf("an integer of %d bits", t.Bits())
	}
	return aNumber
}

func joinPath(at, key string) string {
	if at == "" {
		return key
	}
	return at + "." + key
}
