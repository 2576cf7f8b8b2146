// Command sql measures plain, guarded and pooled *sql.DB on real servers, in one interleaved, randomised run. See docs/bench.md.
package main
