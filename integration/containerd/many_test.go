package containerd

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"oci-timens/integration/cri"
	"oci-timens/integration/machine"
)

const (
	manyPods   = 50
	manyInPod  = 4 // containers
	manyAtOnce = 8
)

// TestMany starts 200 containers, 8 at a time, each pod with clocks of its own.
func TestMany(t *testing.T) {
	t.Parallel()
	e := newEngine(t, stacks[0])
	e.configure()
	e.start()
	e.warmUp(t)
	empty := e.traces(t)

	var wg sync.WaitGroup
	todo := make(chan int)
	right := make(chan bool, manyPods)
	for range manyAtOnce {
		wg.Go(func() {
			for i := range todo {
				right <- t.Run(fmt.Sprint("pod ", i), func(t *testing.T) { e.onePod(t, i) })
			}
		})
	}
	for i := range manyPods {
		todo <- i
	}
	close(todo)
	wg.Wait()
	if len(right) != manyPods {
		t.Errorf("%d of %d pods are lost", manyPods-len(right), manyPods)
	}
	e.checkEmpty(t, empty)
}

func (e *engine) onePod(t *testing.T, i int) {
	hours := time.Duration(i+1) * hour
	want := machine.Clocks{Monotonic: hours, Boottime: -time.Duration(i) * time.Second}
	p := e.pod(t, "timens", map[string]string{
		"io.timens.monotonic": fmt.Sprintf("+%dh", i+1), "io.timens.boottime": fmt.Sprintf("-%ds", i),
	})
	for n := range manyInPod {
		o := &cri.Container{Name: fmt.Sprint("c", n)}
		agree(t, o.Name, machine.Ahead(t, e.container(t, p, o)), want)
		agree(t, "exec in "+o.Name, e.exec(t, o), want)
	}
	agree(t, "sandbox", e.sandbox(t, p), want)
}

// TestRestart stops containerd, and starts it again, while containers run.
func TestRestart(t *testing.T) {
	t.Parallel()
	for _, s := range []stack{stacks[0], stacks[5]} {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			e := newEngine(t, s)
			e.configure()
			e.start()
			p := e.pod(t, "timens", map[string]string{"io.timens.monotonic": "+36h", "io.timens.boottime": "=0"})
			o := &cri.Container{Name: "a"}
			want := machine.Ahead(t, e.container(t, p, o))
			pid := func() int {
				pid, err := e.cri.PID(t.Context(), o.ID)
				if err != nil {
					t.Fatal(err)
				}
				return pid
			}
			before := pid()
			e.daemon.Stop()
			agree(t, "init without containerd", e.clocks(t, before), want)
			e.start()
			if now := pid(); now != before {
				t.Errorf("its first process is %d, was %d", now, before)
			}
			agree(t, "exec", e.exec(t, o), want)
			agree(t, "sandbox", e.sandbox(t, p), want)
			agree(t, "a container that is new", machine.Ahead(t, e.container(t, p, &cri.Container{Name: "b"})), want)

			// Without the handler what runs goes on, and ends as ever.
			e.m.Run("timensctl", "configure", "containerd", "--remove")
			e.restart()
			agree(t, "init without the handler", e.clocks(t, before), want)
			const gone = `no runtime for "timens" is configured`
			says(t, e.cri.CreateContainer(t.Context(), p, &cri.Container{Name: "c", Image: image}), gone)
			if _, err := e.cri.ExecSync(t.Context(), o, "/probe"); s.version == "1.7.24" {
				agree(t, "exec without the handler", e.exec(t, o), want)
			} else {
				says(t, err, gone)
			}
		})
	}
}
