package spec

import "slices"

// Remove removes the member at path, if there is one, and then the objects
// around it that it leaves empty. What Set has added is gone without a trace,
// unless it took the place of null or of an empty object.
func (d *Document) Remove(path ...string) error {
	at, err := d.find(path)
	if err != nil || at.depth < len(path) {
		return err
	}
	around := path[:len(path)-1]
	list, err := d.list(anObject, around...)
	if err != nil {
		return err
	}
	i, err := d.lookup(list, path)
	if err != nil {
		return err
	}
	return d.cut(list, i, around)
}

// cut removes one item of the object or array at path, which goes as well when
// nothing is left in it.
func (d *Document) cut(list []item, i int, path []string) error {
	if len(list) == 1 && len(path) > 0 {
		return d.Remove(path...)
	}
	// The comma and the white space before it are its own, as Set and Append
	// write them.
	from, to := list[i].keyStart, list[i].end
	if i > 0 {
		from = list[i-1].end
	} else if len(list) > 1 {
		to = list[1].keyStart
	}
	d.data = slices.Concat(d.data[:from], d.data[to:])
	return nil
}
