// Package stats says what a few measurements tell about all that were to be had, by their
// ranks alone: nothing is assumed of how they are distributed. How to measure, and how to
// show it, is for those who do.
package stats

import (
	"math"
	"slices"
)

const sure = 0.95

// Number is what is measured.
type Number interface{ ~int | ~int64 | ~float64 }

// Median is the middle of all, or the mean of the two there. all must not be empty.
func Median[T Number](all []T) T {
	sorted := slices.Sorted(slices.Values(all))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// Interval is where the median of all lies that were to be had, with [Certainty]: between two
// of those at hand. With fewer than six there are no such two, and ok is false.
func Interval[T Number](all []T) (low, high T, ok bool) {
	skip, _ := leftOut(len(all), (1-sure)/2)
	if skip < 0 {
		return low, high, false
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[skip], sorted[len(sorted)-1-skip], true
}

// AtLeast is what the median of all is not below that were to be had, with a certainty of
// 95 % or more. ok is false with fewer than five.
func AtLeast[T Number](all []T) (low T, ok bool) {
	skip, _ := leftOut(len(all), 1-sure)
	if skip < 0 {
		return low, false
	}
	return slices.Sorted(slices.Values(all))[skip], true
}

// Certainty is that of the interval of n, in percent: at least 95, or 0 where there is none.
func Certainty(n int) float64 {
	skip, outside := leftOut(n, (1-sure)/2)
	if skip < 0 {
		return 0
	}
	return 100 * (1 - 2*outside)
}

// leftOut is how many of n can be left out at each end, or -1 where even all are too few, and
// the chance, up to a limit, that the median lies beyond what is left, on one side.
func leftOut(n int, limit float64) (skip int, outside float64) {
	skip = -1
	// k of n are below the median with a chance of n!/(k!(n-k)!)/2ⁿ. By its logarithm, because
	// float64 has no 171!.
	for k := 0; k < n/2; k++ {
		chance := math.Exp(logFactorial(n) - logFactorial(k) - logFactorial(n-k) - float64(n)*math.Ln2)
		if outside+chance > limit {
			break
		}
		outside += chance
		skip = k
	}
	return skip, outside
}

func logFactorial(n int) float64 {
	l, _ := math.Lgamma(float64(n) + 1)
	return l
}
