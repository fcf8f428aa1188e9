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
	images, err := criu.ReadImages(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return args, env, nil // the runtime says so
	}
	var image criu.Image
	var sidecar criu.Sidecar
	if err == nil {
		image, sidecar, err = pick(dir, images)
	}
	doc, e := spec.ReadFile(s.inv.config())
	if e != nil {
		return args, env, e
	}
	_, path, e := doc.Namespace("time")
	if e != nil {
		return args, env, e
	}
	if path != "" {
		return args, env, checkJoined(path, images)
	}
	if err != nil {
		s.warn(fmt.Sprintf("CLOCK_BOOTTIME goes on as if no time had passed since the checkpoint: %v", err))
		return args, env, nil
	}
	user, userPath, err := doc.Namespace("user")
	if err != nil {
		return args, env, err
	}
	args, env, err = s.goOn(restored{dir, image, sidecar, doc, user && userPath == ""}, args, env)
	if err != nil {
		err = fmt.Errorf("restoring container %q with its clocks: %w", s.inv.id, err)
	}
	return args, env, err
}

// pick reads the sidecar, and tells which image it is of.
func pick(dir string, images []criu.Image) (i criu.Image, c criu.Sidecar, err error) {
	c, err = criu.ReadSidecar(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return i, c, fmt.Errorf("there is no %s in %s, as a checkpoint by timens-runc leaves it", criu.SidecarName, dir)
	}
	if err != nil {
		return i, c, err
	}
	if i, err = c.Pick(images); err != nil {
		err = fmt.Errorf("%s: %w", filepath.Join(dir, criu.SidecarName), err)
	}
	return i, c, err
}

// restored is a container that is not in a time namespace of others.
type restored struct {
	dir     string
	image   criu.Image
	sidecar criu.Sidecar
	doc     *spec.Document
	newUser bool // it gets a user namespace
}

// goOn decides with which clocks, and how CRIU comes to give them.
func (s *shim) goOn(r restored, args, env []string) (_, _ []string, err error) {
	h, err := timens.Host{}.WithWall()
	if err != nil {
		return args, env, err
	}
	went, err := r.sidecar.Continue(r.image.Clocks, h)
	if err != nil {
		return args, env, fmt.Errorf("%s: %w", filepath.Join(r.dir, criu.SidecarName), err)
	}
	if went.Stepped {
		s.warn("the wall clock of this host is behind that of the checkpoint: CLOCK_BOOTTIME goes on as if no time had passed")
	}
	if went.Offsets, err = r.shared(went.Offsets, h); err != nil {
		return args, env, err
	}
	bundle, _ := s.inv.config()
	note := r.sidecar.Note(r.dir, went, h).Write(bundle) // for timensctl inspect
	_ = s.ownLog(func(l *logrus.Entry) {
		if note != nil {
			l.Warnf("what timensctl inspect tells of it is missing: %v", note)
		}
		l.WithField("offsets", went.Offsets.String()).WithField("gap", went.Gap.String()).Info("restored by CRIU")
	})
	if r.newUser {
		view, err := criu.Copy(r.dir, r.image, went.Offsets, h)
		// Of options that are given twice the last one counts.
		return slices.Insert(slices.Clone(args), s.inv.optionsEnd, "--image-path", view), env, err
	}
	ns, err := timens.Create(went.Offsets)
	if err != nil {
		return args, env, err
	}
	env, err = criu.Join(ns, env)
	return args, env, err
}

// shared returns the offsets of a container that has asked for clocks as one of a pod: all
// of them have one set. own are what it would have alone.
func (r restored) shared(own timens.Offsets, h timens.Host) (timens.Offsets, error) {
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
	return pod.Restored(m, own, r.image.Clocks, h)
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
