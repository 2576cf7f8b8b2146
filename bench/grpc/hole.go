package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"herz.example/herz/guard"
	"herz.example/herz/herzgrpc"
)

// hole is what a client made of one black hole.
type hole struct {
	Client  string  `json:"client"`
	Flight  string  `json:"in_flight"` // when it began
	Seconds float64 `json:"seconds"`   // until a call succeeded; of a stream until it was told
	Failed  int     `json:"failed"`    // calls until then
	Out     bool    `json:"out"`       // false: it was given up after Seconds
}

// every is the time between two calls, deadline how long each has.
const (
	every    = 100 * time.Millisecond
	deadline = time.Second
)

// fastest is the fastest keep-alive that gRPC has. On Linux it also sets TCP_USER_TIMEOUT to Timeout.
var fastest = keepalive.ClientParameters{Time: 10 * time.Second, Timeout: time.Second}

// The clients beside herzgrpc.
const (
	bareName    = "plain, no keep-alive"
	fastestName = "plain, keep-alive 10 s/1 s"
)

// What can be in flight when the hole begins.
const (
	aCall   = "a call"
	nothing = "nothing"
	aStream = "a stream that listens, all acknowledged"
)

// holes lets every client fall into a hole with each thing in flight, Herz's several times, all at the same time: they do little but wait. Who
// does not get out is given up when it is enough.
func holes(ctx context.Context, times int, enough time.Duration) ([]hole, error) {
	var list []hole
	for _, flight := range []string{aCall, nothing, aStream} {
		for range times {
			list = append(list, hole{Client: herzName, Flight: flight})
		}
		list = append(list, hole{Client: fastestName, Flight: flight}, hole{Client: bareName, Flight: flight})
	}
	errs := make([]error, len(list))
	var all sync.WaitGroup
	for i := range list {
		all.Go(func() {
			if errs[i] = list[i].fall(ctx, enough); errs[i] != nil {
				errs[i] = fmt.Errorf("black hole, %s, %s: %w", list[i].Client, list[i].Flight, errs[i])
			}
		})
	}
	all.Wait()
	return list, errors.Join(errs...)
}

// open gives the client and its server. mine will be the client's end of the connection, where that is not guarded.
func (h *hole) open(mine **net.TCPConn) (*subject, error) {
	if h.Client == herzName {
		o, err := herzOptions(h.Client, herzgrpc.Config{})
		if err != nil {
			return nil, err
		}
		return o.open()
	}
	o := options{
		name:   h.Client,
		server: []grpc.ServerOption{grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second})}, // nobody is cut off for pings
		client: []grpc.DialOption{grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			nc, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
			if tcp, ok := nc.(*net.TCPConn); ok && *mine == nil {
				*mine = tcp
			}
			return nc, err
		})},
	}
	if h.Client == fastestName {
		o.client = append(o.client, grpc.WithKeepaliveParams(fastest))
	}
	return o.open()
}

// fall lets a client fall into a black hole and measures how it gets out.
func (h *hole) fall(ctx context.Context, enough time.Duration) error {
	var mine *net.TCPConn
	s, err := h.open(&mine)
	if err != nil {
		return err
	}
	defer closeAll([]*subject{s})
	for range 5 {
		if err := s.call(ctx); err != nil {
			return err
		}
	}
	theirs, err := s.place.first()
	if err != nil {
		return err
	}
	if mine == nil {
		if mine, err = guarded(theirs); err != nil {
			return err
		}
	}
	cut := func() error {
		if err := errors.Join(deaf(theirs), deaf(mine)); err != nil {
			return fmt.Errorf("make a black hole: %w", err)
		}
		return nil
	}
	switch h.Flight {
	case aStream:
		return h.listen(ctx, s, cut, enough)
	case aCall:
		go func() { _ = s.call(ctx) }() // whatever becomes of it
	}
	if err := cut(); err != nil {
		return err
	}
	h.climb(ctx, s, enough)
	return ctx.Err()
}

// settled is after which all that was said is acknowledged.
const settled = 500 * time.Millisecond

// listen opens a stream, and waits in the hole until it is told.
func (h *hole) listen(ctx context.Context, s *subject, cut func() error, enough time.Duration) error {
	limited, cancel := context.WithTimeout(ctx, enough+settled)
	defer cancel()
	stream, err := s.stub.FullDuplexCall(limited)
	if err != nil {
		return err
	}
	time.Sleep(settled)
	if err := cut(); err != nil {
		return err
	}
	began := time.Now()
	_, err = stream.Recv()
	h.Seconds, h.Out = time.Since(began).Seconds(), err != nil && limited.Err() == nil
	return ctx.Err()
}

// climb calls until a call succeeds.
func (h *hole) climb(ctx context.Context, s *subject, enough time.Duration) {
	began, out := time.Now(), make(chan time.Duration, 1)
	var mu sync.Mutex // guards h.Failed. Nothing is called under it.
	var all sync.WaitGroup
	defer all.Wait()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for time.Since(began) < enough && ctx.Err() == nil {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, deadline)
			defer cancel()
			if s.call(ctx) == nil {
				select {
				case out <- time.Since(began):
				default:
				}
				return
			}
			mu.Lock()
			defer mu.Unlock()
			h.Failed++
		})
		select {
		case took := <-out:
			h.Seconds, h.Out = took.Seconds(), true
			return
		case <-tick.C:
		}
	}
	h.Seconds = enough.Seconds()
}

// guarded is the client's end of a connection.
func guarded(theirs *net.TCPConn) (*net.TCPConn, error) {
	for _, g := range guard.Live() {
		if i := g.Info(); i.Local == theirs.RemoteAddr().String() && i.Peer == theirs.LocalAddr().String() {
			if tcp, ok := g.Inner().(*net.TCPConn); ok {
				return tcp, nil
			}
		}
	}
	return nil, errors.New("the client's end of the connection is not guarded")
}

// deaf makes the kernel drop every packet that arrives at s. With both ends deaf nothing passes in either direction.
func deaf(s *net.TCPConn) error {
	drop := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0}}
	raw, err := s.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	err = raw.Control(func(fd uintptr) {
		set = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &drop[0]})
	})
	return errors.Join(err, set)
}
