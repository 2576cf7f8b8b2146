// Command ws measures what thousands of idle WebSockets cost a server: memory of each, processor time of a heartbeat. See docs/bench.md.
package main
