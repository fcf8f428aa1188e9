package spec

// listings remember what was found in a text: a decision and an edit look at the same few
// objects a dozen times, and each time it would take a look at all that is in them.
type listings struct {
	of    *byte // the text, by its first byte
	found []listing
}

// listing is what items returned of one object or array.
type listing struct {
	open  int
	items []item
	end   int
}

// items lists what is in the object or array that begins at open. The list must not be
// changed.
func (d *Document) items(open int) ([]item, int) {
	if d.of != &d.data[0] {
		d.listings = listings{of: &d.data[0]}
	}
	for _, l := range d.found {
		if l.open == open {
			return l.items, l.end
		}
	}
	l := listing{open: open}
	l.items, l.end = items(d.data, open)
	d.found = append(d.found, l)
	return l.items, l.end
}
