// Command http measures herzhttp beside net/http and other clients: what a request costs, and what is lost when connections end. See docs/bench.md.
package main
