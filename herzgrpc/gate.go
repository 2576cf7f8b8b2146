package herzgrpc

import (
	"context"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/stats"
)

// A call that has chosen a connection, and comes to it only after that was told to take no more, waits there until the last call on it has ended, which a
// stream may put off for hours (http2Client.NewStream waits for the end of a transport that GracefulClose drains, and nobody tells it). So a channel whose
// connections have an age lets no call begin while they are replaced, and replaces them when those have arrived that had begun.

// approachMost bounds how long a turn waits for calls that have begun. Some take longer, because they fetch a token, or because the server allows no more
// streams: then the turn is put off, by turnPause, at most turnTries times, and waits twice as long each time. After that it goes on without them.
const (
	approachMost = 250 * time.Millisecond
	turnPause    = time.Second
	turnTries    = 3
)

// approach is a call that has begun and has no connection yet.
type approach struct {
	channel *channel
	over    atomic.Bool
}

type approachKey struct{}

// arrive says that the call has a connection, or has ended without one. Nil: nobody counts.
func (a *approach) arrive() {
	if a != nil && !a.over.Swap(true) {
		a.channel.coming.Add(-1)
	}
}

// pass lets a call begin, which waits while connections are being replaced, not longer than ctx lasts. It counts the call before it looks at the gate, and the
// turn shuts the gate before it looks at the count, so that one of them sees the other.
func (ch *channel) pass(ctx context.Context) (context.Context, *approach) {
	if ch.client.config.MaxConnectionAge == 0 {
		return ctx, nil
	}
	for {
		ch.coming.Add(1)
		gate := ch.gate.Load()
		if gate == nil || ctx.Err() != nil {
			a := &approach{channel: ch}
			return context.WithValue(ctx, approachKey{}, a), a
		}
		ch.coming.Add(-1)
		select {
		case <-*gate:
		case <-ctx.Done():
		}
	}
}

// shut lets no call begin until the returned function is called, and waits for those that have begun, not longer than most. All: they have arrived, or there is
// no connection that they could have chosen.
func (ch *channel) shut(most time.Duration) (open func(), all bool) {
	gate := make(chan struct{})
	ch.gate.Store(&gate)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	arrived := func() bool { return ch.coming.Load() == 0 || ch.conns.Load() == 0 }
	for until := time.Now().Add(most); !arrived() && time.Now().Before(until); {
		<-tick.C
	}
	return func() {
		ch.gate.CompareAndSwap(&gate, nil)
		close(gate)
	}, arrived()
}

// arrivals hears from gRPC when a call has a connection. A stats.Handler costs each call some allocations, so that there is one only where
// connections have an age.
type arrivals struct{}

func (arrivals) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

func (arrivals) HandleRPC(ctx context.Context, s stats.RPCStats) {
	switch s.(type) {
	case *stats.OutHeader, *stats.End:
		if a, ok := ctx.Value(approachKey{}).(*approach); ok {
			a.arrive()
		}
	}
}

func (arrivals) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (arrivals) HandleConn(context.Context, stats.ConnStats)                       {}
