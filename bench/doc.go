// Command bench measures Herz's pool beside other pools in one interleaved, randomised run. See docs/bench.md.
package main
