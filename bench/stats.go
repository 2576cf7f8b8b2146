package main

import "slices"

// minCPUWall is the least CPU/wall of a parallel window that counts: below it the processors hardly ever ran at the same time.
const minCPUWall = 1.5

// minAlone is the least CPU/wall of a window with one goroutine: below it something else had the processor.
const minAlone = 0.9

// counts says whether a window measured what its row is about.
func counts(row work, s sample, procs int) bool {
	if row.Goroutines == 1 || procs < 2 {
		return s.CPUWall >= minAlone
	}
	return s.CPUWall >= minCPUWall
}

// quantile of a sorted list; 0 of an empty one.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// median of a list in any order; 0 of an empty one.
func median(list []float64) float64 {
	if len(list) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(list))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}
