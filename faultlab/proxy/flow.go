package proxy

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// lingering bounds how long the server may go on after its client has closed.
const lingering = 5 * time.Second

// flow is one connection of a client and the one behind it.
type flow struct {
	proxy          *Proxy
	client, server net.Conn
	sent, answered atomic.Uint64
	over           chan struct{} // closed when it has ended
	once           sync.Once

	// mu guards trap and passed. Nothing is read, written or waited for under it.
	mu     sync.Mutex
	trap   *Sprung // whose fate the answer on its way is
	passed int     // bytes of that answer that the client got
}

// end ends both connections, for the client in this way.
func (f *flow) end(e End) {
	f.once.Do(func() {
		if tcp, ok := f.client.(*net.TCPConn); ok && e == RST {
			_ = tcp.SetLinger(0)
		}
		_ = f.client.Close()
		_ = f.server.Close()
		close(f.over)
	})
}

// forth passes on what the client sends, and looks for what springs the trap.
func (f *flow) forth() {
	buffer := make([]byte, 64<<10)
	var tail []byte
	for f.rest() {
		n, err := f.client.Read(buffer)
		if n > 0 {
			if !f.rest() { // a pause that began while it read
				break
			}
			sent := buffer[:n]
			f.pass(tail, sent)
			tail = append(tail, sent...)
			tail = bytes.Clone(tail[max(0, len(tail)-markerMost):])
			if !counted(f.server, sent, &f.sent) {
				break
			}
		}
		if errors.Is(err, io.EOF) {
			f.lastWords()
			return
		}
		if err != nil {
			break
		}
	}
	f.end(FIN)
}

// rest waits while the proxy reads nothing. It is false when the connection has ended.
func (f *flow) rest() bool {
	if p := f.proxy.paused.Load(); p != nil {
		select {
		case <-p.over:
		case <-f.over:
		}
	}
	select {
	case <-f.over:
		return false
	default:
		return true
	}
}

// lastWords tells the server that the client has closed; what the server still says is passed on for a while.
func (f *flow) lastWords() {
	if tcp, ok := f.server.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
	late := time.NewTimer(lingering)
	defer late.Stop()
	select {
	case <-f.over:
	case <-late.C:
		f.end(FIN)
	}
}

// pass looks whether bytes of the client spring a trap. That happens before they are passed on, so that the answer cannot be faster. Bytes
// after an answer has begun are the next request: the answer was not longer than what the trap lets through.
func (f *flow) pass(tail, sent []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.trap != nil && f.passed > 0 {
		f.trap.finish()
		f.trap = nil
	}
	if f.trap != nil {
		return
	}
	if s := f.proxy.sees(tail, sent); s != nil {
		f.trap, f.passed = s, 0
		close(s.sprung)
	}
}

// back passes on what the server answers, as far as the trap lets it.
func (f *flow) back() {
	defer f.end(FIN)
	defer f.untrap()
	buffer := make([]byte, 64<<10)
	for {
		n, err := f.server.Read(buffer)
		whole := buffer[:n]
		s, let := f.judge(n)
		if !f.give(whole[:let]) {
			return
		}
		if s != nil && let < n {
			if !s.trap.Hold {
				f.swallow(s, buffer, n-let)
				return
			}
			s.swallow.Add(int64(n - let))
			s.finish()
			if !f.hold(s) || !f.give(whole[let:]) {
				return
			}
			s.swallow.Store(0)
		}
		if err != nil {
			return
		}
	}
}

// judge says how many of n bytes of an answer the client gets at once, and by which trap.
func (f *flow) judge(n int) (*Sprung, int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.trap
	if s == nil {
		return nil, n
	}
	let := min(n, s.trap.Keep-f.passed)
	f.passed += let
	if s.trap.Hold && let < n {
		f.trap = nil // this answer is its only one
	}
	return s, let
}

// untrap ends the trap of a connection that ends.
func (f *flow) untrap() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.trap != nil {
		f.trap.finish()
	}
}

func (f *flow) give(b []byte) bool {
	return len(b) == 0 || counted(f.client, b, &f.answered)
}

// counted writes b. It is counted before, so that whoever has it finds it counted; what could not be written is taken off again.
func counted(to net.Conn, b []byte, count *atomic.Uint64) bool {
	count.Add(uint64(len(b)))
	n, err := to.Write(b)
	if err != nil {
		count.Add(-uint64(len(b) - n)) //nolint:gosec // a length
	}
	return err == nil
}

// hold waits until the trap is released. It is false when the connection has ended.
func (f *flow) hold(s *Sprung) bool {
	select {
	case <-s.release:
		return true
	case <-f.over:
		return false
	}
}

// swallow takes the rest of an answer until the server is silent, and then ends the connection.
func (f *flow) swallow(s *Sprung, buffer []byte, n int) {
	for {
		s.swallow.Add(int64(n))
		_ = f.server.SetReadDeadline(time.Now().Add(settle))
		var err error
		if n, err = f.server.Read(buffer); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, io.EOF) {
				s.ended.Store(true)
			}
			break
		}
	}
	f.end(s.trap.End)
}
