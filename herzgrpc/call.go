package herzgrpc

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// Call is a call that ended.
type Call struct {
	Method   string             // package.Service/Method
	Code     codes.Code         // what the caller got
	Class    Class              // how far it came
	State    connectivity.State // of the channel when the call began
	Duration time.Duration      // with all repeats; of a stream until it ended
	Repeats  int                // after which it ended so
	Peer     string             // who had the request last; empty when nobody had
	Err      error              // nil: it succeeded
}

// Observer is told of each call that ended. It must be quick: the caller waits meanwhile. It may be called by many goroutines at once.
type Observer interface {
	Observe(ctx context.Context, c Call)
}

// The phases of a stream's call. A stream can end before the one who opened it is told that it is open.
const (
	phaseNew int32 = iota
	phaseOpen
	phaseEnded
)

// call is one call while it runs. gRPC fills in peer, header and trailer when an attempt ends that had a connection, and only then: it is the
// cheapest way to learn that: a stats.Handler is told of a dozen events for each call, which gRPC makes only for it.
type call struct {
	peer            peer.Peer
	header, trailer metadata.MD

	method  *method
	began   time.Time // zero where nobody wants to know
	giveUp  time.Time // when waiting for a connection ends; zero before the first failure
	state   connectivity.State
	repeats int

	code    codes.Code
	class   Class
	settled atomic.Bool                   // class is there to be read
	waiter  atomic.Pointer[chan struct{}] // closed when it is; nil: nobody waits for that
	phase   atomic.Int32
	err     error // of a stream

	options [12]grpc.CallOption // room for those of most calls, so that they need no allocation of their own
}

// nobody is the peer of a call that no connection was given. gRPC sets the peer when a call ends that one was given, to nil where that has no address.
type nobody struct{}

func (nobody) Network() string { return "" }
func (nobody) String() string  { return "" }

// who is the peer of the call, or empty where none is known.
func (k *call) who() string {
	if k.peer.Addr == nil {
		return ""
	}
	return k.peer.Addr.String()
}

// begin notes what is known when a call begins, and gives the options by which gRPC tells the rest.
func (ch *channel) begin(name string, cc *grpc.ClientConn, opts []grpc.CallOption) (*call, []grpc.CallOption) {
	k := &call{state: cc.GetState(), peer: peer.Peer{Addr: nobody{}}}
	if ch.client.timed {
		k.began = time.Now()
	}
	static := false
	for _, o := range opts {
		if _, static = o.(grpc.StaticMethodCallOption); static {
			break
		}
	}
	k.method = ch.client.methods.of(name, static)
	ch.running.Add(1)
	ch.client.running.Add(1)
	return k, append(append(k.options[:0], opts...), grpc.Peer(&k.peer), grpc.Header(&k.header), grpc.Trailer(&k.trailer))
}

func (ch *channel) leave() {
	ch.running.Add(-1)
	ch.client.running.Add(-1)
}

// unary is the interceptor of calls with one request and one answer.
func (ch *channel) unary(ctx context.Context, name string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	k, opts := ch.begin(name, cc, opts)
	defer ch.leave()
	for {
		err := ch.invoke(ctx, name, req, reply, cc, invoke, opts)
		ch.judge(k, err)
		if err == nil || !ch.again(ctx, cc, k) {
			return ch.settle(ctx, k, err)
		}
	}
}

// invoke is one attempt of a call. An interceptor underneath may panic.
func (ch *channel) invoke(ctx context.Context, name string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts []grpc.CallOption) error {
	way, a := ch.pass(ctx)
	defer a.arrive()
	return invoke(way, name, req, reply, cc, opts...)
}

// open is one attempt to open a stream. Where that panics, nobody else says that it is over.
func (ch *channel) open(
	ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, name string, open grpc.Streamer, opts []grpc.CallOption,
) (s grpc.ClientStream, err error) {
	way, a := ch.pass(ctx)
	defer a.arrive()
	back := false
	defer func() {
		if !back {
			ch.leave()
		}
	}()
	s, err = open(way, desc, cc, name, opts...)
	back = true
	return s, err
}

// stream is the interceptor of the others. Only the opening of a stream is repeated, before any message exists.
func (ch *channel) stream(
	ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, name string, open grpc.Streamer, opts ...grpc.CallOption,
) (grpc.ClientStream, error) {
	k, opts := ch.begin(name, cc, opts)
	opts = append(opts, grpc.OnFinish(func(err error) { ch.finished(ctx, k, err) }))
	for {
		s, err := ch.open(ctx, desc, cc, name, open, opts)
		if err == nil {
			if !k.phase.CompareAndSwap(phaseNew, phaseOpen) {
				ch.end(ctx, k)
			}
			return &clientStream{s, k}, nil
		}
		ch.judge(k, err)
		if !ch.again(ctx, cc, k) {
			ch.leave()
			return nil, ch.settle(ctx, k, err)
		}
		k.phase.Store(phaseNew)
	}
}

// finished is told by gRPC that a stream ended, or that it could not be opened.
func (ch *channel) finished(ctx context.Context, k *call, err error) {
	if k.phase.Load() == phaseEnded {
		return
	}
	k.err = err
	if k.phase.Swap(phaseEnded) == phaseOpen {
		ch.end(ctx, k)
	}
}

// end settles a stream that was opened.
func (ch *channel) end(ctx context.Context, k *call) {
	ch.judge(k, k.err)
	_ = ch.settle(ctx, k, k.err) // its user gets the error from RecvMsg
	ch.leave()
}

// judge finds out how an attempt ended.
func (ch *channel) judge(k *call, err error) {
	if err == nil {
		k.code, k.class = codes.OK, FromServer
		return
	}
	k.code = known(status.Code(err))
	f := facts{code: k.code, text: status.Convert(err).Message(), header: len(k.header) > 0, trailer: len(k.trailer) > 0}
	// Of a call that is answered twice gRPC does not tell that it had a connection.
	f.sent = k.peer.Addr != net.Addr(nobody{}) || k.code == codes.Internal && strings.HasPrefix(f.text, answeredTwice)
	if f.sent {
		f.connLost = ch.client.lost(k.peer.LocalAddr)
	}
	k.class = classify(f)
}

// settle counts and tells a call that ended, and gives the error that its caller is to get.
func (ch *channel) settle(ctx context.Context, k *call, err error) error {
	c := ch.client
	k.method.cells[k.code][k.class][k.state].Add(1)
	k.settled.Store(true)
	if w := k.waiter.Load(); w != nil {
		close(*w)
	}
	err = k.explain(err)
	if k.class == TransportLost {
		c.lookForPings(k, err)
	}
	if c.timed {
		ch.tell(ctx, k, err)
	}
	return err
}

func (ch *channel) tell(ctx context.Context, k *call, err error) {
	took := time.Since(k.began)
	if m := ch.client.meters; m != nil {
		m.ended(ctx, k.method, k.code, took)
	}
	o := ch.client.config.Observer
	if o == nil {
		return
	}
	told := Call{Method: k.method.name, Code: k.code, Class: k.class, State: k.state, Duration: took, Repeats: k.repeats, Peer: k.who(), Err: err}
	o.Observe(ctx, told)
}

// again decides whether a call is repeated, and waits for a connection to repeat it on.
func (ch *channel) again(ctx context.Context, cc *grpc.ClientConn, k *call) bool {
	c := ch.client
	switch {
	case k.class != NeverSent || k.code != codes.Unavailable:
		return false // it may have been delivered, or would fail again
	case k.repeats >= c.config.Retries || ctx.Err() != nil:
		return false
	case k.repeats == 0 && k.state == connectivity.Ready && cc.GetState() == connectivity.Ready:
		return false // there is a connection, so that it was refused on purpose: a balancer that sheds load
	}
	if k.giveUp.IsZero() {
		k.giveUp = time.Now().Add(c.config.RetryWait)
	}
	if !ready(ctx, cc, k.giveUp) {
		return false
	}
	k.repeats++
	c.repeats.Add(1)
	return true
}

// ready waits until the channel has a connection, not longer than ctx and not beyond end.
func ready(ctx context.Context, cc *grpc.ClientConn, end time.Time) bool {
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	for {
		switch s := cc.GetState(); s {
		case connectivity.Ready:
			return true
		case connectivity.Shutdown:
			return false
		case connectivity.Idle:
			cc.Connect()
			fallthrough
		default:
			if !cc.WaitForStateChange(ctx, s) {
				return false
			}
		}
	}
}

// clientStream explains the errors of a stream that the transport ended.
type clientStream struct {
	grpc.ClientStream

	call *call
}

// RecvMsg is that of the stream.
func (s *clientStream) RecvMsg(m any) error { return s.explain(s.ClientStream.RecvMsg(m)) }

// SendMsg is that of the stream.
func (s *clientStream) SendMsg(m any) error { return s.explain(s.ClientStream.SendMsg(m)) }

func (s *clientStream) explain(err error) error {
	switch {
	case err == nil || errors.Is(err, io.EOF):
		return err
	case s.call.wait():
		return s.call.explain(err)
	default:
		return &CallError{Class: Unanswered, State: s.call.state, err: err}
	}
}

// settleTime bounds how long the error of a stream waits for its class. gRPC watches the context of a stream in a goroutine of its own, which may be about to
// end the stream when RecvMsg returns. A stream with one answer that got two it does not end.
const settleTime = 50 * time.Millisecond

// wait waits until the class of a stream that failed is known, and reports whether it is.
func (k *call) wait() bool {
	if k.settled.Load() {
		return true
	}
	own := make(chan struct{})
	if !k.waiter.CompareAndSwap(nil, &own) {
		own = *k.waiter.Load()
	}
	if k.settled.Load() { // it may have looked for the channel before that was there
		return true
	}
	t := time.NewTimer(settleTime)
	defer t.Stop()
	select {
	case <-own:
		return true
	case <-t.C:
		return false
	}
}
