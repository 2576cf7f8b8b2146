package herzredis_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// server speaks as much of the Redis protocol as these tests need: one counter, and transactions over it.
type server struct {
	listener net.Listener
	wg       sync.WaitGroup

	accepted atomic.Int64
	counter  atomic.Int64 // INCRs carried out
	swallow  atomic.Bool  // carries out and closes instead of answering
	ignore   atomic.Bool  // carries out and never answers
	silent   atomic.Int64 // connections up to this one are read and never answered
	pings    atomic.Int64
	push     atomic.Bool // says something of its own accord before each PONG

	tls atomic.Pointer[tls.Config] // nil: no TLS

	mu    sync.Mutex // guards conns
	conns map[net.Conn]struct{}
}

func newServer(t *testing.T) *server {
	t.Helper()
	return newServerAt(t, "127.0.0.1:0")
}

func newServerAt(t *testing.T, addr string) *server {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{listener: l, conns: map[net.Conn]struct{}{}}
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			n := s.accepted.Add(1)
			if config := s.tls.Load(); config != nil {
				nc = tls.Server(nc, config)
			}
			s.mu.Lock()
			s.conns[nc] = struct{}{}
			s.mu.Unlock()
			s.wg.Add(1)
			go s.serve(nc, n)
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		s.hangUp()
		s.wg.Wait()
	})
	return s
}

func (s *server) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for nc := range s.conns {
		_ = nc.Close()
		delete(s.conns, nc)
	}
}

func (s *server) fallSilent() { s.silent.Store(s.accepted.Load()) }

func (s *server) serve(nc net.Conn, n int64) {
	defer s.wg.Done()
	defer func() {
		_ = nc.Close()
		s.mu.Lock()
		delete(s.conns, nc)
		s.mu.Unlock()
	}()
	in := bufio.NewReader(nc)
	queued := -1
	for {
		words, err := command(in)
		if err != nil {
			return
		}
		if n <= s.silent.Load() {
			continue
		}
		answer := s.answer(strings.ToUpper(words[0]), &queued)
		switch {
		case answer == "":
			return
		case answer == "ignore":
			continue
		}
		if _, err := io.WriteString(nc, answer); err != nil {
			return
		}
	}
}

func (s *server) answer(verb string, queued *int) string {
	switch verb {
	case "HELLO":
		return "-ERR unknown command\r\n"
	case "PING":
		s.pings.Add(1)
		if s.push.Load() {
			return ">2\r\n+invalidate\r\n*1\r\n$6\r\n+PONG\r\r\n+PONG\r\n"
		}
		return "+PONG\r\n"
	case "MULTI":
		*queued = 0
	case "INCR":
		if *queued >= 0 {
			*queued++
			return "+QUEUED\r\n"
		}
		return s.count(1, "")
	case "EXEC":
		n := *queued
		*queued = -1
		return s.count(n, fmt.Sprintf("*%d\r\n", n))
	}
	return "+OK\r\n"
}

func (s *server) count(n int, head string) string {
	for range n {
		head += fmt.Sprintf(":%d\r\n", s.counter.Add(1))
	}
	switch {
	case s.swallow.Load():
		return ""
	case s.ignore.Load():
		return "ignore"
	}
	return head
}

// command reads one command: an array of bulk strings.
func command(in *bufio.Reader) ([]string, error) {
	n, err := number(in)
	if err != nil {
		return nil, err
	}
	words := make([]string, n)
	for i := range words {
		size, err := number(in)
		if err != nil {
			return nil, err
		}
		b := make([]byte, size+2)
		if _, err := io.ReadFull(in, b); err != nil {
			return nil, err
		}
		words[i] = string(b[:size])
	}
	return words, nil
}

func number(in *bufio.Reader) (int, error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(line[1:]))
}
