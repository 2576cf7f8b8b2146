package record

import (
	"math"
	"slices"
)

// Quantile of a sorted list; 0 of an empty one.
func Quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// Median of a list in any order; 0 of an empty one.
func Median(list []float64) float64 {
	if len(list) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(list))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// Bounds are the values below and above which the true median of what the list was drawn from lies with a chance of 5 % each, at most. They
// are two of the list's own values: the median lies below the k-th smallest only if fewer than k of n draws fell below the median, the chance of
// which is that of fewer than k heads in n tosses of a coin. Of fewer than five values there are no bounds, and ok is false.
func Bounds(list []float64) (low, high float64, ok bool) {
	n := len(list)
	k, chance := 0, 0.0 // chance of at most k-1 heads
	for {
		next := chance + tosses(n, k)
		if next > .05 || k == n {
			break
		}
		chance = next
		k++
	}
	if k == 0 {
		return 0, 0, false
	}
	s := slices.Sorted(slices.Values(list))
	return s[k-1], s[n-k], true
}

// tosses is the chance of exactly k heads in n tosses.
func tosses(n, k int) float64 {
	lg := func(x int) float64 { v, _ := math.Lgamma(float64(x) + 1); return v }
	return math.Exp(lg(n) - lg(k) - lg(n-k) - float64(n)*math.Ln2)
}
