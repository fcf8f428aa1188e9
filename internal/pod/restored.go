package pod

import (
	"fmt"

	"oci-timens/internal/plan"
	"oci-timens/timens"
)

// restoredKey is the reading under which a pod keeps the offsets of its restored
// containers. Nobody else keeps one for a setting that is an offset: those need no record.
func restoredKey(c timens.Clock) plan.Reading {
	return plan.Reading{Clock: c, Setting: timens.OffsetSetting(timens.Offset{})}
}

// Restored returns the offsets of a container that goes on in a pod whose containers share
// their clocks, with these readings when it was stopped. Those of the pod are the sandbox's,
// where that has clocks of its own, or the ones that the first container was restored with,
// for which own is. They must not be lower than what the container has seen.
func Restored(m Member, own timens.Offsets, was timens.Clocks, h timens.Host) (timens.Offsets, error) {
	return restored(m, own, was, h, open)
}

func restored(m Member, own timens.Offsets, was timens.Clocks, h timens.Host, open func(record) (*state, error)) (timens.Offsets, error) {
	if m.Joined.PID == 0 {
		return own, nil // see apart
	}
	s, err := timens.ReadSandbox(m.Joined.PID, m.Joined.File, m.Init)
	if err != nil {
		return own, err
	}
	shared := s.Offsets
	if shared == h.Own {
		if shared, err = keepRestored(record{m.ID, s.PID, s.StartTicks}, own, open); err != nil {
			return own, fmt.Errorf("the clocks that pod %s shares: %w", m.ID, err)
		}
	}
	return shared, notLower(m.ID, shared, was, h)
}

// keepRestored returns what the pod has kept, which is own for its first container.
func keepRestored(r record, own timens.Offsets, open func(record) (*state, error)) (timens.Offsets, error) {
	st, err := open(r)
	if err != nil {
		return own, err
	}
	defer st.close()
	kept, list := own, []plan.Resolved{}
	for _, c := range timens.AllClocks() {
		v, found := st.kept[restoredKey(c)]
		if found {
			kept = kept.With(c, v)
			continue
		}
		list = append(list, plan.Resolved{Reading: restoredKey(c), Offset: own.Get(c)})
	}
	if len(list) == 0 {
		return kept, nil
	}
	return kept, st.keep(list)
}

// notLower refuses clocks that would go backward for a container.
func notLower(id string, o timens.Offsets, was timens.Clocks, h timens.Host) error {
	for _, c := range timens.AllClocks() {
		now, err := o.Get(c).Add(timens.OffsetOf(h.Clocks.Get(c)))
		if err != nil {
			return err
		}
		if then := timens.OffsetOf(was.Get(c)); now.Compare(then) < 0 {
			behind, err := then.Sub(now)
			if err != nil {
				return err
			}
			return fmt.Errorf("the containers of pod %s share their clocks, and there %s is %s behind what it read in this one when it was checkpointed: restore that first whose clocks are ahead of the others', in a new pod",
				id, c.Const(), timens.Brief(behind))
		}
	}
	return nil
}
