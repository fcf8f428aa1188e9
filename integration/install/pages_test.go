package install

import (
	"runtime"
	"strings"
	"testing"

	"oci-timens/integration/machine"
)

// withShare starts a machine with man, mandoc and three shells, in which the deb is
// unpacked; its dependencies and scripts are not of interest.
func withShare(t *testing.T) *machine.Machine {
	t.Helper()
	m := machine.New(t, machine.Tool(t, "checkers-1"))
	m.Copy(debOf(t, runtime.GOARCH), "/root/x.deb", 0o644)
	m.Run("dpkg-deb", "--extract", "/root/x.deb", "/")
	return m
}

func TestManPages(t *testing.T) {
	m := withShare(t)
	for _, page := range []string{"timens-hook.8", "timens-runc.8", "timensctl.8", "io.timens.7", "oci-timens-config.toml.5"} {
		name, section := page[:len(page)-2], page[len(page)-1:]
		file := "/usr/share/man/man" + section + "/" + page + ".gz"
		if out := m.Run("sh", "-c", `zcat "$1" >/tmp/page && mandoc -Tlint -Wwarning /tmp/page`, "sh", file); out != "" {
			t.Errorf("mandoc: %s", out)
		}
		o, err := m.Try("LC_ALL=C.UTF-8", "man", "--warnings", section, name)
		if err != nil || o.Stderr != "" {
			t.Errorf("man: %v\n%s", err, o.Stderr)
		}
		if !strings.Contains(o.Stdout, "NAME\n     "+name+" — ") {
			t.Errorf("%s:\n%.400s", page, o.Stdout)
		}
	}
}

// completed is what a user gets for the words so far, the last one unfinished.
var completed = []struct {
	line string
	want string // one of the proposals
	not  string // and none of them
}{
	{"timensctl conf", "configure", "inspect"},
	{"timensctl config v", "validate", "default"},
	{"timensctl configure cont", "containerd", "podman"},
	{"timensctl configure --all", "--all-containers", "--mode"},
	{"timensctl ps --o", "--output", "--runtime"},
}

func TestCompletion(t *testing.T) {
	m := withShare(t)
	// What the shells call when the tab key is pressed, with what they find themselves.
	scripts := map[string]string{
		"bash": `. /usr/share/bash-completion/bash_completion
			_completion_loader timensctl || [ $? = 124 ]
			read -ra COMP_WORDS <<<"$1"; COMP_LINE=$1 COMP_POINT=${#1} COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_TYPE=9
			declaration=$(complete -p timensctl); [[ $declaration =~ -F\ ([^ ]+) ]]
			${BASH_REMATCH[1]} timensctl "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
			printf '%s\n' "${COMPREPLY[@]}"`,
		"fish": `complete --do-complete "$argv[1]"`,
		// A terminal of its own, in which the key is pressed.
		"zsh": `zmodload zsh/zpty
			zpty shell zsh -f -i
			zpty -w shell "PS1=; autoload -Uz compinit && compinit -u -D; zstyle ':completion:*' list-prompt ''; LISTMAX=1000"
			zpty -n -w shell "$1"$'\t\t'
			for _ in {1..100}; do
				sleep 0.1; while zpty -r -t shell more; do out+=$more; done
				[[ $out == *$2* ]] && break
			done
			print -r -- "$out"`,
	}
	for shell, script := range scripts {
		t.Run(shell, func(t *testing.T) {
			for _, c := range completed {
				args := []string{"TERM=xterm", shell, "-c", script}
				if shell != "fish" { // for which there is no $0
					args = append(args, shell)
				}
				got := m.Run(append(args, c.line, c.want)...)
				if !strings.Contains(got, c.want) || strings.Contains(got, c.not) {
					t.Errorf("%q: %q", c.line, got)
				}
			}
		})
	}
}
