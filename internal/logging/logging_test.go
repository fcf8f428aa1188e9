package logging

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"oci-timens/config"
)

func TestNew(t *testing.T) {
	c := config.Default()
	c.LogLevel = "warning"
	c.LogFile = filepath.Join(t.TempDir(), "log")
	for range 2 { // the second one appends
		l, closer, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		l.Info("below the level")
		l.Warn("kept")
		if err := closer.Close(); err != nil {
			t.Error(err)
		}
	}
	text, err := os.ReadFile(c.LogFile)
	if err != nil {
		t.Fatal(err)
	}
	if s := string(text); strings.Count(s, "\n") != 2 || strings.Count(s, "level=warning msg=kept") != 2 || !strings.HasPrefix(s, "time=") {
		t.Errorf("log file holds %q, want two lines with the warning", s)
	}
	if info, err := os.Stat(c.LogFile); err != nil || info.Mode().Perm()&^0o640 != 0 {
		t.Errorf("log file: %v, %v; want mode 0640 or less", info.Mode(), err)
	}
}

func TestNewWithoutFile(t *testing.T) {
	l, closer, err := New(config.Default())
	if err != nil {
		t.Fatal(err)
	}
	l.Error("to nowhere")
	if err := closer.Close(); err != nil {
		t.Error(err)
	}
}

func TestNewErrors(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	if err := os.Symlink(filepath.Join(dir, "target"), link); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ level, file, want string }{
		{"loud", "", `log level: not a valid logrus Level: "loud"`},
		{"info", link, "log file of the configuration: open " + link + ": too many levels of symbolic links"},
		{"info", dir + "/no/log", "log file of the configuration: open " + dir + "/no/log: no such file or directory"},
	} {
		c := config.Default()
		c.LogLevel, c.LogFile = tt.level, tt.file
		if _, _, err := New(c); err == nil || err.Error() != tt.want {
			t.Errorf("%+v: got error %v", tt, err)
		}
	}
}
