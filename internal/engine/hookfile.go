package engine

// hookPattern matches the keys of annotations that ask for clocks. One pattern, as
// several of them must all match (oci-hooks(5)).
const hookPattern = `^(io\.timens\.|run\.oci\.timens_offset$)`

// savePattern matches the keys of annotations by which clocks are kept in the end.
const savePattern = `^io\.timens\.save(/|$)`

type ociHook struct {
	Path string   `json:"path"`
	Args []string `json:"args"`
}

type hookWhen struct {
	Always      bool              `json:"always,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// hookFile is a file of a hooks directory, oci-hooks(5). Nobody has clocks be kept without
// an annotation.
func hookFile(path, stage string, always bool) string {
	when := hookWhen{Always: true}
	switch {
	case stage == "poststop":
		when = hookWhen{Annotations: map[string]string{savePattern: ".*"}}
	case !always:
		when = hookWhen{Annotations: map[string]string{hookPattern: ".*"}}
	}
	return indentJSON(struct {
		Version string   `json:"version"`
		Hook    ociHook  `json:"hook"`
		When    hookWhen `json:"when"`
		Stages  []string `json:"stages"`
	}{"1.0.0", ociHook{path, []string{"timens-hook", stage}}, when, []string{stage}})
}

// stageFile is a file in a hooks directory, for one stage.
type stageFile struct{ name, stage string }

var (
	hookFiles = []stageFile{
		{"oci-timens-createruntime.json", "createRuntime"},
		{"oci-timens-poststart.json", "poststart"},
		{"oci-timens-poststop.json", "poststop"},
	}
	precreateFile = stageFile{"oci-timens-precreate.json", ModePrecreate}
)

// The CDI device: "docker run --device oci-timens/clock=annotated".
const (
	cdiKind   = "oci-timens/clock"
	cdiDevice = "annotated"
	cdiFile   = "oci-timens.json"
)

// cdiSpec describes the device. Version 0.3.0 of the format is the oldest that is
// read, and has all that is needed.
func cdiSpec(path string) string {
	type cdiHook struct {
		HookName string `json:"hookName"`
		ociHook
	}
	type edits struct {
		Hooks []cdiHook `json:"hooks"`
	}
	type device struct {
		Name           string `json:"name"`
		ContainerEdits edits  `json:"containerEdits"`
	}
	hook := func(stage string) cdiHook { return cdiHook{stage, ociHook{path, []string{"timens-hook", stage}}} }
	return indentJSON(struct {
		CDIVersion string   `json:"cdiVersion"`
		Kind       string   `json:"kind"`
		Devices    []device `json:"devices"`
	}{"0.3.0", cdiKind, []device{{cdiDevice, edits{[]cdiHook{hook("createRuntime"), hook("poststart"), hook("poststop")}}}}})
}
