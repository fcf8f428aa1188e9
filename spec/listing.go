package spec

// listings remember what was found in a text: a decision and an edit look at the same few
// objects a dozen times, and each time it would take a look at all that is in them.
type listings struct {
	of *byte // the text, by its first byte
	at map[int]listing
}

// listing is what items returns.
type listing struct {
	items []item
	end   int
}

// items lists what is in the object or array that begins at open. The list must not be
// changed.
func (d *Document) items(open int) ([]item, int) {
	if d.of != &d.data[0] {
		d.listings = listings{&d.data[0], map[int]listing{}}
	}
	l, ok := d.at[open]
	if !ok {
		l.items, l.end = items(d.data, open)
		d.at[open] = l
	}
	return l.items, l.end
}
