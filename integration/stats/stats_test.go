package stats

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	if m := Median([]time.Duration{5, 1, 3}); m != 3 {
		t.Errorf("of three: %v", m)
	}
	if m := Median([]float64{4, 1, 3, 2}); m != 2.5 {
		t.Errorf("of four: %v", m)
	}
}

// The numbers are those of tables of the sign test.
func TestInterval(t *testing.T) {
	for n, want := range map[int]struct {
		skip      int
		certainty float64
	}{0: {-1, 0}, 5: {-1, 0}, 6: {0, 96.9}, 8: {0, 99.2}, 9: {1, 96.1}, 20: {5, 95.9}, 100: {39, 96.5}, 2000: {955, 95.3}} {
		skip, _ := leftOut(n, 0.025)
		if c := Certainty(n); skip != want.skip || math.Abs(c-want.certainty) > 0.06 {
			t.Errorf("of %d: without %d at each end, %.2f %% sure; want %d and %.1f", n, skip, c, want.skip, want.certainty)
		}
	}
	low, high, ok := Interval([]int{9, 2, 3, 4, 5, 6, 7, 8, 1})
	if low != 2 || high != 8 || !ok {
		t.Errorf("of nine: %d … %d, %v", low, high, ok)
	}
	if _, _, ok := Interval([]int{1, 2, 3, 4, 5}); ok {
		t.Error("of five there is an interval")
	}
}

func TestAtLeast(t *testing.T) {
	if low, ok := AtLeast([]int{3, 5, 1, 4, 2}); low != 1 || !ok {
		t.Errorf("of five: %d, %v", low, ok)
	}
	if _, ok := AtLeast([]int{1, 2, 3, 4}); ok {
		t.Error("of four there is a bound")
	}
	all := make([]int, 50)
	for i := range all {
		all[i] = i
	}
	if low, _ := AtLeast(all); low != 18 { // 18 or fewer heads of 50: 3.2 %; 19: 5.9 %
		t.Errorf("of fifty: %d", low)
	}
}

// TestCertain holds what Interval promises against many draws whose median is known.
func TestCertain(t *testing.T) {
	const draws, of = 4000, 21
	r, within := rand.New(rand.NewPCG(1, 2)), 0
	for range draws {
		all := make([]float64, of)
		for i := range all {
			all[i] = math.Exp(r.NormFloat64())
		}
		if low, high, _ := Interval(all); low <= 1 && 1 <= high {
			within++
		}
	}
	if got, want := 100*float64(within)/draws, Certainty(of); math.Abs(got-want) > 1 {
		t.Errorf("%.1f %% of the intervals have the median in them, want %.1f %%", got, want)
	}
}
