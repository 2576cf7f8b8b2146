// Command grpc measures what herzgrpc costs a call beside plain gRPC and otelgrpc, how soon a black hole is left, and whether servers put up with its
// pings. See docs/bench.md.
package main
