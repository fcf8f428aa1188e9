package engine

import (
	"testing"

	"github.com/pelletier/go-toml/v2"
)

// Whatever is valid TOML can be scanned, and edited or refused.
func FuzzTOML(f *testing.F) {
	for _, text := range []string{containersConf, debianContainerd, containerdV3, "a.\"b\".'c' = {x = 1, y = [2]} # c\n[[t]]\n", "s = \"\"\"\"\"\"\nt = x\n", "\ufeffa = 1\r\n", "d = 1979-05-27 07:32:00 # x"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := parseTOML("x", data)
		if err != nil {
			return
		}
		for _, e := range scanTOML(data) {
			if e.start < 0 || e.end <= e.start || e.end > len(data) {
				t.Fatalf("%+v is not in %d bytes", e, len(data))
			}
			if !e.table {
				var v map[string]any
				if err := toml.Unmarshal([]byte("x = "+string(data[e.valStart:e.vEnd])), &v); err != nil {
					t.Fatalf("%q: value of %q: %v", data, e.path, err)
				}
			}
		}
		for _, path := range [][]string{{"engine", "hooks_dir"}, {"a", "b", "x"}, {"s"}} {
			if d.set(path, []string{"x"}, "# ours\n") != nil {
				continue
			}
			if text, ok, _ := d.get(path); !ok || text != `["x"]` {
				t.Fatalf("%q: %q is %q", d.bytes(), path, text)
			}
		}
	})
}
