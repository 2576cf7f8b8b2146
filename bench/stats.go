package main

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
