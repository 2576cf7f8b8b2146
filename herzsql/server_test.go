package herzsql_test

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// server speaks a protocol of lines and does to its clients what servers and networks do.
type server struct {
	listener net.Listener
	wg       sync.WaitGroup

	executed atomic.Int64 // statements that were carried out
	commits  atomic.Int64
	prepared atomic.Int64
	closedSt atomic.Int64 // statements that clients closed
	pings    atomic.Int64
	accepted atomic.Int64

	swallow  atomic.Bool  // carries out the next statement and closes instead of answering
	half     atomic.Bool  // sends one row of the next result and closes
	bye      atomic.Bool  // carries out the next statements and answers "bye"
	reject   atomic.Bool  // answers that a statement is wrong
	silent   atomic.Int64 // connections accepted up to this one are read and never answered
	readonly atomic.Int64 // connections accepted up to this one answer every statement with "readonly"

	mu    sync.Mutex // guards what follows
	conns map[net.Conn]struct{}
	lines []string       // what clients sent
	times map[string]int // how often each statement was executed
}

// saidInFull gives what clients have sent until all of them had left, and forgets it.
func (s *server) saidInFull(t *testing.T) []string {
	t.Helper()
	eventually(t, "all clients have left", func() bool { return s.open() == 0 })
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := s.lines
	s.lines = nil
	return lines
}

func newServer(t *testing.T) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{listener: l, conns: map[net.Conn]struct{}{}, times: map[string]int{}}
	s.wg.Add(1)
	go s.accept()
	t.Cleanup(func() {
		_ = l.Close()
		s.hangUp()
		s.wg.Wait()
	})
	return s
}

func (s *server) accept() {
	defer s.wg.Done()
	for {
		nc, err := s.listener.Accept()
		if err != nil {
			return
		}
		n := s.accepted.Add(1)
		s.mu.Lock()
		s.conns[nc] = struct{}{}
		s.mu.Unlock()
		s.wg.Add(1)
		go s.serve(nc, n)
	}
}

// hangUp closes every connection, as a restart or an idle time-out does.
func (s *server) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for nc := range s.conns {
		_ = nc.Close()
		delete(s.conns, nc)
	}
}

// fallSilent makes every connection of now a silent one; new ones are served.
func (s *server) fallSilent() { s.silent.Store(s.accepted.Load()) }

func (s *server) open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

func (s *server) serve(nc net.Conn, n int64) {
	defer s.wg.Done()
	defer func() {
		_ = nc.Close()
		s.mu.Lock()
		delete(s.conns, nc)
		s.mu.Unlock()
	}()
	in := bufio.NewScanner(nc)
	for in.Scan() {
		s.mu.Lock()
		s.lines = append(s.lines, in.Text())
		s.mu.Unlock()
		if n <= s.silent.Load() {
			continue
		}
		answer, again := s.answer(in.Text(), n)
		if answer != "" {
			if _, err := fmt.Fprint(nc, answer); err != nil {
				return
			}
		}
		if !again {
			return
		}
	}
}

func (s *server) answer(line string, n int64) (answer string, again bool) {
	verb, _, _ := strings.Cut(line, " ")
	if n <= s.readonly.Load() && verb != "ping" {
		return "readonly\n", true
	}
	switch verb {
	case "ping":
		s.pings.Add(1)
		return "ok\n", true
	case "prepare":
		s.prepared.Add(1)
		return "ok\n", true
	case "unprepare":
		s.closedSt.Add(1)
		return "", true
	case "begin", "rollback":
		return "ok\n", true
	case "commit":
		s.commits.Add(1)
	case "exec", "query":
		if strings.HasPrefix(line, "exec warm") {
			return "ok\n", true
		}
		s.executed.Add(1)
		s.mu.Lock()
		s.times[line]++
		s.mu.Unlock()
	}
	if s.reject.Load() {
		return "wrong\n", true
	}
	if s.swallow.Load() {
		return "", false
	}
	if s.bye.Load() {
		return "bye\n", true
	}
	if verb != "query" {
		return "ok\n", true
	}
	if strings.HasPrefix(line, "query headed") {
		return "head\n", false
	}
	if s.half.Load() {
		return "1\n", false
	}
	return "1\n2\n3\nend\n", true
}
