// Command signals measures what observers cost a loan: none, herzprom, herzotel, in one interleaved, randomised run. See docs/bench.md.
package main
