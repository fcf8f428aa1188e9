package shim

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/sirupsen/logrus"

	"oci-timens/internal/criu"
	"oci-timens/internal/edit"
	"oci-timens/internal/pod"
	"oci-timens/spec"
	"oci-timens/timens"
)

// restore has a container go on as if the whole system had been suspended since it was
// checkpointed, and returns the arguments and the environment with which the runtime, and
// so CRIU, does that. The images are only read.
func (s *shim) restore(facts edit.Facts, args, env []string) (_, _ []string, err error) {
	r, known, err := s.withCRIU(facts)
	if err != nil || !known {
		return args, env, err
	}
	// Both runtimes go to the bundle before they open a relative path; runc has made one
	// of what is not given by then (utils_linux.go, getDefaultImagePath).
	from := s.inv.bundle
	if s.inv.imagePath == "" && r.Name == "runc" {
		from = ""
	}
	dir := s.images(from)
	images, unread := criu.ReadImages(dir)
	if errors.Is(unread, fs.ErrNotExist) {
		return args, env, nil // the runtime says so
	}
	doc, err := spec.ReadFile(s.inv.config())
	if err != nil {
		return args, env, err
	}
	_, path, err := doc.Namespace("time")
	if err != nil {
		return args, env, err
	}
	if path != "" && unread == nil {
		return args, env, checkJoined(path, images)
	}
	to := restored{dir: dir, doc: doc}
	if unread == nil {
		unread = to.goOn(images)
	}
	if unread != nil {
		s.warn(fmt.Sprintf("CLOCK_BOOTTIME goes on as if no time had passed since the checkpoint: %v", unread))
		return args, env, nil
	}
	if args, env, err = s.give(to, args, env); err != nil {
		err = fmt.Errorf("restoring container %q with its clocks: %w", s.inv.id, err)
	}
	return args, env, err
}

// restored is a container that is not in a time namespace of others, and how it goes on.
type restored struct {
	dir     string // of its images
	doc     *spec.Document
	image   criu.Image
	sidecar criu.Sidecar
	host    timens.Host
	criu.Restored
}

// goOn fills r in by the sidecar. Where it fails CRIU still restores the container.
func (r *restored) goOn(images []criu.Image) (err error) {
	r.sidecar, err = criu.ReadSidecar(r.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no %s in %s, as a checkpoint by timens-runc leaves it", criu.SidecarName, r.dir)
	}
	if err != nil {
		return err
	}
	if r.host, err = (timens.Host{}).WithWall(); err != nil {
		return err
	}
	if r.image, err = r.sidecar.Pick(images); err == nil {
		r.Restored, err = r.sidecar.Continue(r.image.Clocks, r.host)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", filepath.Join(r.dir, criu.SidecarName), err)
	}
	return err
}

// give settles the clocks with the pod, and has CRIU give them.
func (s *shim) give(r restored, args, env []string) (_, _ []string, err error) {
	if r.Stepped {
		s.warn("the wall clock of this host is behind that of the checkpoint: CLOCK_BOOTTIME goes on as if no time had passed")
	}
	if r.Offsets, err = r.shared(); err != nil {
		return args, env, err
	}
	s.noteRestored(r)
	s.noteSaved(r)
	user, path, err := r.doc.Namespace("user")
	if err != nil {
		return args, env, err
	}
	if user && path == "" {
		view, err := criu.Copy(r.dir, r.image, r.Offsets, r.host)
		// Of options that are given twice the last one counts.
		return slices.Insert(slices.Clone(args), s.inv.optionsEnd, "--image-path", view), env, err
	}
	ns, err := timens.Create(r.Offsets)
	if err != nil {
		return args, env, err
	}
	env, err = criu.Join(ns, env)
	return args, env, err
}

// noteRestored tells timensctl inspect, and our own log.
func (s *shim) noteRestored(r restored) {
	bundle, _ := s.inv.config()
	err := r.sidecar.Note(r.dir, r.Restored, r.host).Write(bundle)
	_ = s.ownLog(func(l *logrus.Entry) {
		if err != nil {
			l.Warnf("what timensctl inspect tells of it is missing: %v", err)
		}
		l.WithField("offsets", r.Offsets.String()).WithField("gap", r.Gap.String()).Info("restored by CRIU")
	})
}

// shared returns the offsets of a container that has asked for clocks as one of a pod: all
// of them have one set.
func (r restored) shared() (timens.Offsets, error) {
	own := r.Offsets
	annotations, err := r.doc.Annotations()
	if err != nil {
		return own, err
	}
	asked, err := spec.ParseAnnotations(annotations)
	if err != nil || asked.IsZero() || asked.Monotonic.Alone || asked.Boottime.Alone {
		return own, err
	}
	m, in, err := pod.MemberOf(annotations, r.doc.Joined)
	if err != nil || !in {
		return own, err
	}
	return pod.Restored(m, own, r.image.Clocks, r.host)
}

// checkJoined refuses a time namespace in which the container's clocks would go backward.
// CRIU puts the container there whatever it has dumped.
func checkJoined(path string, images []criu.Image) error {
	o, err := timens.OffsetsAt(path)
	if err != nil {
		return fmt.Errorf("config.json has the container join the time namespace %q, whose clocks cannot be told: %w", path, err)
	}
	h, err := timens.ReadHost()
	if err != nil {
		return err
	}
	for _, c := range timens.AllClocks() {
		now, err := o.Get(c).Add(timens.OffsetOf(h.Clocks.Get(c)))
		if err != nil {
			return err
		}
		for _, i := range images {
			if was := timens.OffsetOf(i.Clocks.Get(c)); now.Compare(was) < 0 {
				return fmt.Errorf("config.json has the container join the time namespace %q, where %s reads %s: it read %s when the container was checkpointed, and must not go backward; let it join one whose clocks are ahead of that, or take the path out",
					path, c.Const(), timens.Brief(now), timens.Brief(was))
			}
		}
	}
	return nil
}
