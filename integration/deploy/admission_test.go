package deploy

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Namespaces with both labels, one of them, and none.
const namespaces = `
{apiVersion: v1, kind: Namespace, metadata: {name: open, labels: {io.timens/monotonic: allowed, io.timens/boottime: allowed}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: half, labels: {io.timens/boottime: allowed, io.timens/monotonic: "no"}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: shut}}
---
{apiVersion: v1, kind: Node, metadata: {name: node}}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: developers},
 rules: [{apiGroups: ["", apps, batch], resources: ["*"], verbs: ["*"]}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: developers},
 roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: developers}, subjects: [{kind: Group, name: developers, apiGroup: rbac.authorization.k8s.io}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: alice, namespace: open},
 roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: timens-boottime}, subjects: [{kind: User, name: alice, apiGroup: rbac.authorization.k8s.io}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: alice},
 roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: timens-monotonic}, subjects: [{kind: User, name: alice, apiGroup: rbac.authorization.k8s.io}]}
`

const podSpec = `{nodeName: node, containers: [{name: a, image: a}]}`

// object makes one of a kind; those that are no pods have the annotations in their template.
func object(kind, name, annotations string) string {
	meta := fmt.Sprintf("metadata: {name: %s}", name)
	template := fmt.Sprintf("template: {metadata: {labels: {app: a}, annotations: %s}, spec: %s}", annotations, podSpec)
	never := strings.Replace(template, "{nodeName", "{restartPolicy: Never, nodeName", 1)
	selected := "selector: {matchLabels: {app: a}}, " + template
	spec := map[string]string{
		"Deployment": selected, "DaemonSet": selected, "ReplicaSet": selected, "StatefulSet": "serviceName: a, " + selected,
		"ReplicationController": "selector: {app: a}, " + template,
		"Job":                   never, "CronJob": "schedule: '* * * * *', jobTemplate: {spec: {" + never + "}}",
	}[kind]
	switch kind {
	case "Pod":
		return fmt.Sprintf("{apiVersion: v1, kind: Pod, metadata: {name: %s, annotations: %s}, spec: %s}", name, annotations, podSpec)
	case "ReplicationController":
		return fmt.Sprintf("{apiVersion: v1, kind: %s, %s, spec: {%s}}", kind, meta, spec)
	case "Job", "CronJob":
		return fmt.Sprintf("{apiVersion: batch/v1, kind: %s, %s, spec: {%s}}", kind, meta, spec)
	}
	return fmt.Sprintf("{apiVersion: apps/v1, kind: %s, %s, spec: {%s}}", kind, meta, spec)
}

const (
	boottime  = `{io.timens.boottime: "=0"}`
	monotonic = `{io.timens.monotonic/container.a: "+36h"}`
	both      = `{io.timens.boottime: "=0", io.timens.monotonic: "=0"}`
	crun      = `{run.oci.timens_offset: "boottime 5 0"}`
)

func denied(key, who, clock, where, do string) string {
	return fmt.Sprintf(`denied request: annotation "%s": %s may not set %s%s: leave it out, or %s`, key, who, clock, where, do)
}

func byNamespace(key, ns, clock string) string {
	label := strings.ToLower(strings.TrimPrefix(clock, "CLOCK_"))
	return denied(key, `pods in namespace "`+ns+`"`, clock, "", "have the namespace labelled io.timens/"+label+"=allowed")
}

func byUser(key, user, ns, clock string) string {
	role := strings.ToLower(strings.TrimPrefix(clock, "CLOCK_"))
	return denied(key, `user "`+user+`"`, clock, ` in namespace "`+ns+`"`, "ask for the ClusterRole timens-"+role)
}

// testAdmission has pods and what they are made of allowed and denied by the policies.
func testAdmission(t *testing.T, s *server) {
	s.must(t, "root", "apply", "-k", deployed+"/admission")
	s.m.Write("/tmp/namespaces.yaml", namespaces, 0o644)
	s.must(t, "root", "apply", "-f", "/tmp/namespaces.yaml")
	const mono, boot = "CLOCK_MONOTONIC", "CLOCK_BOOTTIME"
	// The API server takes notice of policies after a moment.
	for _, user := range []string{"root", "bob"} {
		end := time.Now().Add(time.Minute)
		for {
			ns := map[string]string{"root": "shut", "bob": "open"}[user]
			if s.send(t, user, "create", object("Pod", "early", both), "-n", ns, "--dry-run=server") != nil {
				break
			}
			if time.Now().After(end) {
				t.Fatal("the policies have no effect")
			}
			time.Sleep(200 * time.Millisecond)
		}
	}
	for _, c := range []struct{ user, namespace, kind, annotations, want string }{
		{"root", "open", "Pod", both, ""},
		{"root", "open", "Pod", crun, ""},
		{"root", "half", "Pod", boottime, ""},
		{"root", "half", "Pod", both, byNamespace("io.timens.monotonic", "half", mono)},
		{"root", "half", "Pod", crun, byNamespace("run.oci.timens_offset", "half", mono)},
		{"root", "half", "Pod", `{io.timens.resume: "x"}`, byNamespace("io.timens.resume", "half", mono)},
		{"root", "half", "Pod", `{io.timens/x: "x"}`, byNamespace("io.timens/x", "half", mono)},
		{"root", "half", "Pod", `{io.timens.boottimes: "x"}`, byNamespace("io.timens.boottimes", "half", mono)},
		{"root", "shut", "Pod", boottime, byNamespace("io.timens.boottime", "shut", boot)},
		{"root", "shut", "Pod", monotonic, byNamespace("io.timens.monotonic/container.a", "shut", mono)},
		{"root", "shut", "Pod", `{io.timenses: "x", example.com/io.timens.boottime: "x"}`, ""},
		{"root", "shut", "Deployment", both, ""}, // whose pods will not be
		{"alice", "open", "Pod", both, ""},
		{"alice", "half", "Pod", boottime, byUser("io.timens.boottime", "alice", "half", boot)},
		{"alice", "shut", "Deployment", monotonic, ""},
		{"bob", "open", "Pod", `{example.com/x: "y"}`, ""},
		{"bob", "open", "Pod", boottime, byUser("io.timens.boottime", "bob", "open", boot)},
		{"bob", "open", "Pod", crun, byUser("run.oci.timens_offset", "bob", "open", mono)},
		{"controller", "open", "Pod", both, ""},
		{"controller", "shut", "Pod", both, byNamespace("io.timens.monotonic", "shut", mono)},
		{"alice", "open", "Deployment", both, ""},
		{"bob", "open", "Deployment", `{}`, ""},
		{"bob", "open", "Deployment", boottime, byUser("io.timens.boottime", "bob", "open", boot)},
		{"bob", "open", "DaemonSet", boottime, byUser("io.timens.boottime", "bob", "open", boot)},
		{"bob", "open", "ReplicaSet", boottime, byUser("io.timens.boottime", "bob", "open", boot)},
		{"bob", "open", "StatefulSet", boottime, byUser("io.timens.boottime", "bob", "open", boot)},
		{"bob", "open", "ReplicationController", boottime, byUser("io.timens.boottime", "bob", "open", boot)},
		{"bob", "open", "Job", monotonic, byUser("io.timens.monotonic/container.a", "bob", "open", mono)},
		{"bob", "open", "CronJob", monotonic, byUser("io.timens.monotonic/container.a", "bob", "open", mono)},
	} {
		t.Run(fmt.Sprintf("%s in %s, %s %s", c.user, c.namespace, c.kind, c.annotations), func(t *testing.T) {
			err := s.send(t, c.user, "create", object(c.kind, "one", c.annotations), "-n", c.namespace, "--dry-run=server")
			judge(t, err, c.want)
		})
	}
	t.Run("later changes", s.testLater)
	t.Run("by the way of others", s.testBinding)
	t.Run("mirror of a static pod", s.testMirror)
	t.Run("flood", s.testFlood)
}

func judge(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Error(err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("%v\nwant %s", err, want)
	}
}

// testLater changes pods and templates that were allowed once.
func (s *server) testLater(t *testing.T) {
	for _, kind := range []string{"Pod", "CronJob"} {
		if err := s.send(t, "alice", "apply", object(kind, "old", boottime), "-n", "open"); err != nil {
			t.Fatal(err)
		}
	}
	s.must(t, "root", "label", "namespace", "open", "io.timens/boottime-")
	defer s.must(t, "root", "label", "namespace", "open", "io.timens/boottime=allowed")
	s.must(t, "bob", "label", "-n", "open", "pod/old", "cronjob/old", "changed=yes")
	_, err := s.as("root", "annotate", "-n", "open", "--overwrite", "pod/old", "io.timens.boottime==1h")
	judge(t, err, byNamespace("io.timens.boottime", "open", "CLOCK_BOOTTIME"))
	_, err = s.as("bob", "annotate", "-n", "open", "pod/old", "io.timens.monotonic==0")
	judge(t, err, byUser("io.timens.monotonic", "bob", "open", "CLOCK_MONOTONIC"))
	judge(t, s.send(t, "bob", "apply", object("CronJob", "old", both), "-n", "open"), byUser("io.timens.monotonic", "bob", "open", "CLOCK_MONOTONIC"))
	s.must(t, "bob", "annotate", "-n", "open", "pod/old", "io.timens.boottime-")
}

// testBinding brings annotations to a pod without writing the pod.
func (s *server) testBinding(t *testing.T) {
	unbound := strings.Replace(object("Pod", "unbound", "{}"), "nodeName: node, ", "", 1)
	for _, ns := range []string{"open", "shut"} {
		if err := s.send(t, "bob", "create", unbound, "-n", ns); err != nil {
			t.Fatal(err)
		}
	}
	bind := func(user, ns, path, annotations string) error {
		s.m.Write("/tmp/binding.json", `{"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "unbound", "annotations": `+annotations+`},
 "target": {"kind": "Node", "name": "node"}}`, 0o644)
		_, err := s.as(user, "create", "--raw=/api/v1/namespaces/"+ns+path, "-f", "/tmp/binding.json")
		return err
	}
	const asks = `{"io.timens.boottime": "=0"}`
	judge(t, bind("root", "shut", "/pods/unbound/binding", asks), byNamespace("io.timens.boottime", "shut", "CLOCK_BOOTTIME"))
	judge(t, bind("bob", "open", "/pods/unbound/binding", asks), byUser("io.timens.boottime", "bob", "open", "CLOCK_BOOTTIME"))
	judge(t, bind("bob", "open", "/bindings", asks), byUser("io.timens.boottime", "bob", "open", "CLOCK_BOOTTIME"))
	judge(t, bind("bob", "shut", "/bindings", `{}`), "")
	judge(t, bind("alice", "open", "/pods/unbound/binding", asks), "")
	_, err := s.as("root", "patch", "-n", "shut", "pod/unbound", "--subresource=status", "-p", `{"metadata": {"annotations": `+asks+`}}`)
	judge(t, err, byNamespace("io.timens.boottime", "shut", "CLOCK_BOOTTIME"))
	_, err = s.as("bob", "patch", "-n", "open", "pod/unbound", "--subresource=status", "-p", `{"metadata": {"annotations": {"io.timens.boottime": "=1h"}}}`)
	judge(t, err, byUser("io.timens.boottime", "bob", "open", "CLOCK_BOOTTIME"))
	_, err = s.as("bob", "patch", "-n", "open", "pod/unbound", "--subresource=status", "-p", `{"status": {"message": "x"}}`)
	judge(t, err, "")
}

// testMirror lets a kubelet show its static pod, wherever it is.
func (s *server) testMirror(t *testing.T) {
	uid := s.must(t, "root", "get", "node", "node", "-o", "jsonpath={.metadata.uid}")
	mirror := fmt.Sprintf(`{apiVersion: v1, kind: Pod, metadata: {name: mirror, annotations: {io.timens.boottime: "=0", kubernetes.io/config.mirror: x},
 ownerReferences: [{apiVersion: v1, kind: Node, name: node, uid: %s, controller: true}]}, spec: %s}`, uid, podSpec)
	s.m.Write("/tmp/mirror.yaml", mirror, 0o644)
	s.must(t, "node", "create", "-n", "shut", "-f", "/tmp/mirror.yaml")
}

// testFlood has as many annotations as an object may have: they neither get a pod around
// the policies nor keep the API server busy.
func (s *server) testFlood(t *testing.T) {
	for _, key := range []string{"io.timens.x%d", "io.timens.boottime/container.x%d", "x%d"} {
		text := object("Pod", "flood", "{io.timens.boottime: '=0'}")
		var b strings.Builder
		for size := 100; size < 200<<10; size += len(key) + 6 {
			fmt.Fprintf(&b, ", "+key+": '=0'", size)
		}
		text = strings.Replace(text, "'=0'", "'=0'"+b.String(), 1)
		judge(t, s.send(t, "bob", "create", text, "-n", "shut"), "denied request: more than 1000 annotations are not looked through for io.timens ones")
	}
}
