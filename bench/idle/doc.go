// Command idle measures what a pool costs whose thousands of connections rest: processor time, memory, goroutines. See docs/bench.md.
package main
