package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// privateRun has the runtime of a container started where /run is its own, made as a
// script says.
func (c *container) privateRun(script string) {
	c.before = []string{"unshare", "--mount", "sh", "-c", "mount -t tmpfs tmpfs /run && { " + script + "\n} && exec \"$@\"", "sh"}
}

// sandboxFor starts a sandbox that has no clocks of its own.
func sandboxFor(t *testing.T, s stack) *container {
	t.Helper()
	c := newSandbox(t, stack{"none", s.runtime}, strings.NewReplacer("/", "-", " ", "-", "'", "").Replace(t.Name()))
	c.start()
	c.stack = s
	return c
}

// record is the file that a pod's clocks are kept in.
func (c *container) record() string {
	c.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.pid))
	if err != nil {
		c.t.Fatal(err)
	}
	stat := string(text)
	start := strings.Fields(stat[strings.LastIndex(stat, ")")+1:])[19]
	return fmt.Sprintf("/run/oci-timens/pods/%s.%d.%s", c.spec.Annotations["io.kubernetes.cri.sandbox-id"], c.pid, start)
}

// TestPodState breaks what is kept for a pod: nothing starts with other clocks than
// its pod, and offsets, for which nothing is kept, do not depend on it.
func TestPodState(t *testing.T) {
	for name, tt := range map[string]struct{ script, text string }{
		"folder for all to write": {"mkdir -p /run/oci-timens/pods; chmod 777 /run/oci-timens/pods", "/run/oci-timens/pods can be written to by others, or belongs to another user than 0 (mode 0777)"},
		"of another user":         {"mkdir -p /run/oci-timens/pods; chown 1 /run/oci-timens", "/run/oci-timens can be written to by others, or belongs to another user than 0"},
		"garbage":                 {"mkdir -m 700 /run/oci-timens /run/oci-timens/pods; echo garbage >RECORD", "RECORD: it is no record of a pod's clocks, or not a whole one: restart the pod, or remove the file"},
		"read-only":               {"mount -o remount,ro /run", "mkdir /run/oci-timens: read-only file system"},
		"full":                    {"mkdir -m 700 /run/oci-timens; mount -t tmpfs -o mode=700,nr_inodes=2 tmpfs /run/oci-timens; mkdir -m 700 /run/oci-timens/pods", "no space left on device"},
	} {
		t.Run(name, func(t *testing.T) {
			eachPod(t, func(t *testing.T, s stack) {
				if s.mechanism == "hook" && name == "read-only" && s.runtime.isCrun() {
					t.Skip("crun itself wants to write there") // as root, to /run/crun
				}
				sandbox := sandboxFor(t, s)
				use := strings.NewReplacer("RECORD", sandbox.record())
				m := sandbox.newMember("app")
				m.privateRun(use.Replace(tt.script))
				ask(m, "", "=0")
				m.refused("create", use.Replace(tt.text))
				if said := m.said(m.try("create", "--bundle", m.bundle(), m.id)); !strings.Contains(said, "the clocks that pod "+sandbox.spec.Annotations["io.kubernetes.cri.sandbox-id"]+" shares: ") {
					t.Errorf("the error is %s", said)
				}
				plain := sandbox.newMember("plain")
				plain.privateRun(use.Replace(tt.script))
				ask(plain, "", "+1h")
				want{boottime: ahead(time.Hour)}.check(t, plain.created, plain.start())
				plain.stop()
				sandbox.stop()
			})
		})
	}
}

// TestPodGone has config.json name a process that is no pod's sandbox. Only the shim
// sees that: a runtime fails by itself before it runs a hook.
func TestPodGone(t *testing.T) {
	eachShim(t, func(t *testing.T, s stack) {
		ended := sandboxFor(t, s)
		m := ended.newMember("app")
		ended.must("kill", ended.id, "KILL")
		pid := ended.pid
		ended.reap()
		ask(m, "+1h", "")
		m.refused("create", fmt.Sprintf("the pod's sandbox, which is process %d by the paths in config.json: it has ended", pid))

		reused := newContainer(t, s)
		reused.join(os.Getpid())
		annotate(reused.spec, "io.kubernetes.cri-o.SandboxID", "reused", "io.timens.boottime", "=0")
		reused.refused("create", fmt.Sprintf("which is process %d by the paths in config.json: it is no container, for it shares this mount namespace: restart the pod", os.Getpid()))
		forged := newContainer(t, s)
		annotate(forged.spec, "io.kubernetes.cri.sandbox-id", "../../etc", "io.timens.boottime", "=0")
		forged.refused("create", `the ID of the container's pod, "../../etc", is none`)
	})
}

// TestPodApart has containers that share nothing but the ID of their pod.
func TestPodApart(t *testing.T) {
	eachPod(t, func(t *testing.T, s stack) {
		c := newContainer(t, s)
		annotate(c.spec, "io.kubernetes.cri-o.SandboxID", "apart", "io.timens.boottime", "=0")
		seen := c.run()
		want{boottime: reads(0)}.check(t, c.created, seen)
		if text := "this container joins no namespace of the sandbox of pod apart: its clocks are its own"; !strings.Contains(c.log(), text) {
			t.Errorf("the log does not say %q:\n%s", text, c.log())
		}
		if records := podRecords(t, "apart"); len(records) > 0 {
			t.Errorf("left are %q", records)
		}
	})
}

// TestPodKilled ends the hook with SIGKILL at each step of what it keeps: the next
// containers of the pod agree, whatever the first has left.
func TestPodKilled(t *testing.T) {
	for _, step := range []string{"pod locked", "pod written", "pod kept", "unshared"} {
		t.Run(step, func(t *testing.T) {
			for _, r := range lowLevels() {
				t.Run(r.key, func(t *testing.T) {
					t.Parallel()
					require(t, r.key, r.problem())
					s := stack{"hook", r}
					s.needsClocks(t)
					sandbox := sandboxFor(t, s)
					killed := sandbox.newMember("killed")
					killed.hook = filepath.Join(base, "bin/timens-hook-kill")
					killed.env = append(killed.env, "TIMENS_TEST_KILL_AT="+step)
					ask(killed, "", "=0")
					if r := killed.create(); r.exit == 0 {
						t.Fatal("the runtime went on although the hook was killed")
					}
					time.Sleep(50 * time.Millisecond)
					first := sandbox.newMember("first")
					ask(first, "", "=0")
					first.start()
					pods := first.held()
					if pods.boottime.value >= 0 {
						t.Errorf("has %v", pods)
					}
					second := sandbox.newMember("second")
					ask(second, "", "=0")
					second.startsWith(pods)
					first.stop()
					second.stop()
					sandbox.stop()
				})
			}
		})
	}
}

// TestPodRootless has the containers of a rootless engine's pod.
func TestPodRootless(t *testing.T) {
	eachPod(t, func(t *testing.T, s stack) {
		require(t, "userns", missing("/proc/self/ns/user"))
		holder := holdUserNamespace(t)
		run := fmt.Sprintf("/run/user/%d", plainUser)
		if err := os.MkdirAll(run, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(run, plainUser, plainUser); err != nil {
			t.Fatal(err)
		}
		rootless := func(c *container) *container {
			c.uid, c.holder, c.spec.Linux.CgroupsPath = plainUser, holder, ""
			return c
		}
		sandbox := rootless(newSandbox(t, s, strings.ReplaceAll("rootless-"+s.String(), "/", "-")))
		sandbox.start()
		var pods want
		for i := range 2 {
			m := rootless(sandbox.newMember(fmt.Sprint(i)))
			ask(m, "=1h", "=0")
			m.start()
			if i == 0 {
				pods = m.held()
			}
			if got := m.held(); got != pods || got.boottime.value >= 0 {
				t.Errorf("has %v, want %v", got, pods)
			}
			m.checkExec(pods)
			m.stop()
			time.Sleep(50 * time.Millisecond)
		}
		sandbox.stop()
	})
}
