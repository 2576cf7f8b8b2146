package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// service gives back what it is sent.
type service struct {
	testpb.UnimplementedTestServiceServer
}

// UnaryCall is the call that is measured.
func (service) UnaryCall(_ context.Context, req *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	return &testpb.SimpleResponse{Payload: req.GetPayload()}, nil
}

// FullDuplexCall says nothing until its client ends it.
func (service) FullDuplexCall(stream grpc.BidiStreamingServer[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]) error {
	<-stream.Context().Done()
	return nil
}

// place is a server on loopback that remembers whom it accepted.
type place struct {
	net.Listener

	server *grpc.Server
	served chan struct{}

	// mu guards accepted. Nothing is called under it.
	mu       sync.Mutex
	accepted []*net.TCPConn
}

func serve(opts ...grpc.ServerOption) (*place, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	p := &place{Listener: ln, server: grpc.NewServer(opts...), served: make(chan struct{})}
	testpb.RegisterTestServiceServer(p.server, service{})
	go func() {
		defer close(p.served)
		_ = p.server.Serve(p) // it ends with close
	}()
	return p, nil
}

// Accept is that of the listener.
func (p *place) Accept() (net.Conn, error) {
	nc, err := p.Listener.Accept()
	if tcp, ok := nc.(*net.TCPConn); ok && err == nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.accepted = append(p.accepted, tcp)
	}
	return nc, err
}

// first is the connection that was accepted first.
func (p *place) first() (*net.TCPConn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.accepted) == 0 {
		return nil, errors.New("nobody connected")
	}
	return p.accepted[0], nil
}

func (p *place) close() {
	p.server.Stop()
	<-p.served
}

// connect gives a channel to p.
func (p *place) connect(opts ...grpc.DialOption) (*grpc.ClientConn, testpb.TestServiceClient, error) {
	cc, err := grpc.NewClient(p.Addr().String(), append(opts, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		return nil, nil, fmt.Errorf("connect: %w", err)
	}
	return cc, testpb.NewTestServiceClient(cc), nil
}
