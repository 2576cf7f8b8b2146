// Package herzgrpc puts Herz under google.golang.org/grpc: one bundle of options for a client, one for a server.
//
// # Contract
//
// A channel that was made with [Client.DialOptions] has guarded connections: a black hole ends one within Options.HeartbeatTimeout (3.2 s), although
// the shortest keep-alive of gRPC is 10 s, and a connection on which no call runs costs nothing. Each call that fails is put into a [Class], which
// says whether the request left and whose the status is, together with the state in which the channel was when the call began. A call is repeated only
// when it is proved that nothing of it left. Keep-alive pings come no more often than the server allows.
//
//	herz, err := herzgrpc.New(herzgrpc.Config{})
//	cc, err := grpc.NewClient(target, append(herz.DialOptions(), grpc.WithTransportCredentials(creds))...)
//
// Where the transport lost a call, the error that the caller gets is still a status (status.Code and status.FromError work), and is asked:
// guard.SafeToRetry(err) is true only for what never left, and errors.Is(err, guard.ErrAmbiguous) for what may have been executed. Errors that the
// server sent are given back as they are.
//
// [Server] is the other end: keep-alive that fits the clients', connections that end gracefully after a while, and a [Server.Drain] with a bound.
//
// # Not a goal
//
// It chooses no balancer, and knows nothing of xDS: both work above it. Spans are left to otelgrpc. Accepted connections are not guarded: the guard is made
// for the end that asks.
//
// # Concurrency
//
// Everything may be used by any number of goroutines. A call costs seven allocations more than without, at both ends together, a few atomic additions and a
// look into a map at each. No goroutine is started, but for two during Server.Drain; a channel with Config.MaxConnectionAge has one timer.
package herzgrpc
