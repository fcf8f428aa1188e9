package k8s

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"
)

// memoryGoal is for the plugin, at any time.
const memoryGoal = 32 << 20

// TestChurn creates and deletes pods that ask, in batches, and tells what the plugin and the
// node then have more than after the first batch.
func TestChurn(t *testing.T) {
	if *churned == 0 {
		t.Skip("only with -churn")
	}
	c := newCluster(t, stack{newest, byNone})
	w := &way{name: "churn", plugin: true, asks: asked{"io.timens.boottime": "=0", "io.timens.monotonic": "+36h"}}
	c.startPlugin(t)
	fmt.Print("\n| pods created and deleted | memory of timens-nri | goroutines | files | mounts | time namespaces | records |\n|---|---|---|---|---|---|---|\n")
	highest, first, last := 0., usage{}, usage{}
	for made := *many; made <= *churned; made += *many {
		c.measure(t, w, *many)
		last = c.usage(t)
		highest = max(highest, last.memory)
		if made == *many {
			first = last
		}
		if made == *many || made%500 == 0 || made+*many > *churned {
			fmt.Printf("| %d | %.1f MiB | %d | %d | %d | %d | %d |\n", made, last.memory/(1<<20), last.goroutines, last.files, last.mounts, last.namespaces, last.records)
		}
	}
	fmt.Printf("\nAt most %.1f MiB (goal ≤ 32 MiB %s)\n", highest/(1<<20), mark(highest <= memoryGoal))
	// A connection or a goroutine of the metrics' own may come and go.
	if last.goroutines > first.goroutines+2 || last.files > first.files+2 || last.mounts > first.mounts || last.namespaces > first.namespaces || last.records > 0 {
		t.Errorf("left after %d pods: %+v, and after the first ones: %+v", *churned, last, first)
	}
	if last.memory > first.memory+8<<20 {
		t.Errorf("memory has grown from %.0f to %.0f bytes", first.memory, last.memory)
	}
}

// usage is what the plugin and the node have.
type usage struct {
	memory                                         float64
	goroutines, files, mounts, namespaces, records int
}

func (c *cluster) usage(t *testing.T) usage {
	t.Helper()
	text, err := c.ask("/metrics")
	if err != nil {
		t.Fatal(err)
	}
	left := c.traces(t)
	return usage{
		memory: metric(text, "process_resident_memory_bytes"), goroutines: int(metric(text, "go_goroutines")),
		files: int(metric(text, "process_open_fds")), mounts: len(left.mounts), namespaces: len(left.namespaces), records: len(left.files),
	}
}

// metric is the value of one of the plugin's metrics, in the text that it serves.
func metric(text, name string) float64 {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err == nil {
				return v
			}
		}
	}
	return math.NaN()
}

// histogram is of Prometheus: how many took at most so long, in rising order.
type histogram []bucket

type bucket struct {
	limit string // in seconds, as it is written
	count float64
}

// served is the plugin's histogram of requests.
func (c *cluster) served(t *testing.T) (h histogram) {
	t.Helper()
	text, err := c.ask("/metrics")
	if err != nil {
		t.Fatal(err)
	}
	const prefix = `timens_nri_request_seconds_bucket{le="`
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, prefix); ok {
			limit, value, _ := strings.Cut(rest, `"} `)
			count, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			h = append(h, bucket{limit, count})
		}
	}
	if len(h) == 0 {
		t.Fatalf("no histogram in %q", text)
	}
	return h
}

func (h *histogram) add(o histogram) {
	if len(*h) == 0 {
		*h = o
		return
	}
	for i := range o {
		(*h)[i].count += o[i].count
	}
}

// quantile is the limit of the bucket that it lies in: the real value is at most that.
func (h histogram) quantile(q float64) time.Duration {
	for _, b := range h {
		if b.count >= q*h[len(h)-1].count {
			if seconds, err := strconv.ParseFloat(b.limit, 64); err == nil && !math.IsInf(seconds, 0) {
				return time.Duration(seconds * float64(time.Second))
			}
		}
	}
	return math.MaxInt64
}
