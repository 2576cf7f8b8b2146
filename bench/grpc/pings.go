package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"
	testpb "google.golang.org/grpc/interop/grpc_testing"

	"herz.example/herz/herzgrpc"
)

// silence is how a stream on which nothing is said fared while its client pinged.
type silence struct {
	Client  string  `json:"client"`
	Server  string  `json:"server"`
	Seconds float64 `json:"seconds"` // that it lasted
	Ended   string  `json:"ended"`   // by what; empty: it lasted to the end
}

// silences has streams say nothing for a while, all at the same time.
func silences(ctx context.Context, limit time.Duration) ([]silence, error) {
	list := []silence{
		{Client: "herzgrpc", Server: "told nothing (MinTime 5 min)"},
		{Client: "herzgrpc, ServerMinTime 10 s", Server: "MinTime 10 s"},
		{Client: fastestName, Server: "told nothing (MinTime 5 min)"},
	}
	short := herzgrpc.ServerConfig{MinTime: 10 * time.Second}
	bundle, err := herzgrpc.NewServer(short)
	if err != nil {
		return nil, err
	}
	herz, errHerz := herzOptions(list[0].Client, herzgrpc.Config{})
	known, errKnown := herzOptions(list[1].Client, herzgrpc.Config{ServerMinTime: short.MinTime})
	if err := errors.Join(errHerz, errKnown); err != nil {
		return nil, err
	}
	herz.server, known.server = nil, bundle.ServerOptions()
	ends := []options{herz, known, {list[2].Client, []grpc.DialOption{grpc.WithKeepaliveParams(fastest)}, nil}}
	errs := make([]error, len(list))
	var all sync.WaitGroup
	for i, o := range ends {
		all.Go(func() { errs[i] = list[i].last(ctx, o, limit) })
	}
	all.Wait()
	return list, errors.Join(errs...)
}

// last opens a stream and waits until it ends, or the time is over.
func (s *silence) last(ctx context.Context, o options, limit time.Duration) error {
	one, err := o.open()
	if err != nil {
		return fmt.Errorf("%s: %w", s.Client, err)
	}
	defer closeAll([]*subject{one})
	began := time.Now()
	quiet, cancel := context.WithCancel(ctx) // no deadline: the server would be told of it, and might end the stream before us
	defer cancel()
	defer time.AfterFunc(limit, cancel).Stop()
	stream, err := one.stub.FullDuplexCall(quiet)
	if err != nil {
		return fmt.Errorf("%s: %w", s.Client, err)
	}
	var got testpb.StreamingOutputCallResponse
	err = stream.RecvMsg(&got)
	s.Seconds = time.Since(began).Seconds()
	if quiet.Err() == nil {
		s.Ended = fmt.Sprint(err)
	}
	return ctx.Err()
}
