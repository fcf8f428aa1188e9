package spec

import (
	"fmt"
	"slices"
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Annotations returns the annotations, nil when there are none. One that
// appears twice is refused, because it could be read either way.
func (d *Document) Annotations() (map[string]string, error) {
	list, err := d.list(anObject, "annotations")
	if err != nil || len(list) == 0 {
		return nil, err
	}
	a := make(map[string]string, len(list))
	for _, m := range list {
		if _, twice := a[m.key]; twice {
			return nil, fmt.Errorf("%s: %s: %s appears twice: remove one", d.name, position(d.data, m.keyStart), source(m.key))
		}
		var v string
		if err := d.decode(m, &v, source(m.key)); err != nil {
			return nil, err
		}
		a[m.key] = v
	}
	return a, nil
}

// SetOwnAnnotations replaces those annotations of ours among is, what [Document.Annotations]
// returned, by those of ours among want, and reports whether there were others.
func (d *Document) SetOwnAnnotations(is, want map[string]string) (changed bool, err error) {
	saved := d.data
	for _, key := range ownKeys(is) {
		if _, ok := want[key]; !ok && err == nil {
			changed, err = true, d.Remove("annotations", key)
		}
	}
	for _, key := range ownKeys(want) {
		if v, ok := is[key]; (!ok || v != want[key]) && err == nil {
			changed, err = true, d.Set(want[key], "annotations", key)
		}
	}
	if err != nil {
		d.data = saved
		return false, err
	}
	return changed, nil
}

// CgroupsPath returns linux.cgroupsPath, "" where there is none.
func (d *Document) CgroupsPath() (path string, err error) {
	list, err := d.list(anObject, "linux")
	if err != nil {
		return "", err
	}
	return d.text(list, []string{"linux", "cgroupsPath"})
}

// Namespace returns whether linux.namespaces has an entry of a type, such as
// "pid", and the path of the namespace to join, "" for a new one. Two entries of
// the type are an error, as they are to runtimes.
func (d *Document) Namespace(typ string) (present bool, path string, err error) {
	i, path, err := d.namespaceEntry(typ)
	return i >= 0 && err == nil, path, err
}

// namespaceEntry returns the index of that entry, -1 when there is none.
func (d *Document) namespaceEntry(typ string) (found int, path string, err error) {
	found = -1
	list, err := d.list(anArray, "linux", "namespaces")
	if err != nil {
		return -1, "", err
	}
	for i, it := range list {
		t, p, err := d.namespace(it, []string{"linux", "namespaces[" + strconv.Itoa(i) + "]"})
		if err != nil {
			return -1, "", err
		}
		if t != typ {
			continue
		}
		if found >= 0 {
			return -1, "", fmt.Errorf("%s: linux.namespaces has two entries of type %q: remove one", d.name, typ)
		}
		found, path = i, p
	}
	return found, path, nil
}

// namespace reads the entry of linux.namespaces that at names.
func (d *Document) namespace(it item, at []string) (typ, path string, err error) {
	if k := kindOf(d.data[it.start]); k != anObject {
		return "", "", d.typeError(at, k, anObject)
	}
	members, _ := d.items(it.start)
	if typ, err = d.text(members, append(at, "type")); err != nil {
		return "", "", err
	}
	path, err = d.text(members, append(at, "path"))
	return typ, path, err
}

// text returns the string at the last key of path, whose members are given, and
// "" where there is none, or null.
func (d *Document) text(members []item, path []string) (s string, err error) {
	i, err := d.lookup(members, path)
	if err != nil || i < 0 {
		return "", err
	}
	err = d.decode(members[i], &s, path...)
	return s, err
}

// AddHook adds h to hooks.STAGE, behind what is there. Entries with the same
// arguments are h as it was added before: one with the same path and environment
// stays, and others are removed. A text that is not UTF-8 is an error:
// config.json could not name the file.
func (d *Document) AddHook(stage string, h specs.Hook) error {
	if err := checkText(slices.Concat([]string{h.Path}, h.Args, h.Env)...); err != nil {
		return fmt.Errorf("%s: hook %w", d.name, err)
	}
	saved := d.data
	err := d.addHook(h, "hooks", stage)
	if err != nil {
		d.data = saved
	}
	return err
}

func (d *Document) addHook(h specs.Hook, path ...string) error {
	for {
		list, err := d.list(anArray, path...)
		if err != nil {
			return err
		}
		earlier, same := -1, 0
		for i, it := range list {
			var have specs.Hook
			if err := d.decode(it, &have, path[0], fmt.Sprintf("%s[%d]", path[1], i)); err != nil {
				return err
			}
			if !slices.Equal(have.Args, h.Args) {
				continue
			}
			if have.Path == h.Path && slices.Equal(have.Env, h.Env) {
				if same++; same == 1 {
					continue
				}
			}
			earlier = i
		}
		switch {
		case earlier >= 0:
			err = d.cut(list, earlier, path)
		case same > 0:
			return nil
		default:
			return d.Append(h, path...)
		}
		if err != nil {
			return err
		}
	}
}
