package herzmysql_test

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// server speaks as much of the MySQL protocol as these tests need: the handshake without a check of the password, OK and
// ERR packets, and one result set.
type server struct {
	listener net.Listener
	wg       sync.WaitGroup

	accepted atomic.Int64
	executed atomic.Int64 // statements carried out
	swallow  atomic.Bool  // carries out and closes instead of answering
	ignore   atomic.Bool  // carries out and never answers
	cut      atomic.Bool  // closes in the middle of a result set
	silent   atomic.Int64 // connections up to this one are never answered
	readonly atomic.Int64 // connections up to this one answer that the server is read-only

	mu    sync.Mutex // guards conns
	conns map[net.Conn]struct{}
}

func newServer(t *testing.T) *server { return newServerAt(t, "127.0.0.1:0") }

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

func (s *server) dsn(params string) string {
	return "user:secret@tcp(" + s.listener.Addr().String() + ")/shop?" + params
}

func (s *server) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for nc := range s.conns {
		_ = nc.Close()
		delete(s.conns, nc)
	}
}

// mutter sends an OK packet that answers nothing.
func (s *server) mutter() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for nc := range s.conns {
		_, _ = nc.Write([]byte{7, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0})
	}
}

func (s *server) fallSilent() { s.silent.Store(s.accepted.Load()) }

// wire sends and receives packets.
type wire struct {
	nc  net.Conn
	in  *bufio.Reader
	seq byte
}

func (w *wire) send(payload ...byte) error {
	head := [4]byte{byte(len(payload)), byte(len(payload) >> 8), 0, w.seq}
	w.seq++
	_, err := w.nc.Write(append(head[:], payload...))
	return err
}

func (w *wire) receive() ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(w.in, head[:]); err != nil {
		return nil, err
	}
	w.seq = head[3] + 1
	payload := make([]byte, int(head[0])|int(head[1])<<8|int(head[2])<<16)
	_, err := io.ReadFull(w.in, payload)
	return payload, err
}

var okPacket = []byte{0, 1, 0, 2, 0, 0, 0}

// greeting is a HandshakeV10 packet of a server that knows the 4.1 protocol and mysql_native_password.
func greeting() []byte {
	p := append([]byte{10}, "8.0.0\x00"...)
	p = append(p, 1, 0, 0, 0)
	p = append(p, "12345678\x00"...)
	p = append(p, 0x01, 0xa2, 45, 2, 0, 0x08, 0x00, 21)
	p = append(p, make([]byte, 10)...)
	p = append(p, "123456789012\x00"...)
	return append(p, "mysql_native_password\x00"...)
}

func (s *server) serve(nc net.Conn, n int64) {
	defer s.wg.Done()
	defer func() {
		_ = nc.Close()
		s.mu.Lock()
		delete(s.conns, nc)
		s.mu.Unlock()
	}()
	w := &wire{nc: nc, in: bufio.NewReader(nc)}
	if w.send(greeting()...) != nil {
		return
	}
	if _, err := w.receive(); err != nil || w.send(okPacket...) != nil {
		return
	}
	for {
		p, err := w.receive()
		if err != nil || len(p) == 0 || p[0] == 1 { // COM_QUIT
			return
		}
		if n <= s.silent.Load() {
			continue
		}
		if !s.answer(w, p, n) {
			return
		}
	}
}

func (s *server) answer(w *wire, p []byte, n int64) (again bool) {
	switch p[0] {
	case 14: // COM_PING
		return w.send(okPacket...) == nil
	case 25: // COM_STMT_CLOSE has no answer
		return true
	case 22: // COM_STMT_PREPARE: no columns, no parameters
		id := binary.LittleEndian.AppendUint32([]byte{0}, 1)
		return w.send(append(id, 0, 0, 0, 0, 0, 0, 0)...) == nil
	}
	query := string(p[1:])
	if strings.Contains(query, "@@hostname") { // who are you?
		return w.send(append([]byte{0xff, 0xa9, 0x04}, "#HY000no such variable"...)...) == nil // 1193 ER_UNKNOWN_SYSTEM_VARIABLE
	}
	if n <= s.readonly.Load() {
		return w.send(append([]byte{0xff, 0x0a, 0x05}, "#HY000read only"...)...) == nil // 1290 ER_OPTION_PREVENTS_STATEMENT
	}
	if p[0] == 23 || query != "START TRANSACTION" && query != "warm" {
		s.executed.Add(1)
		if s.swallow.Load() {
			return false
		}
		if s.ignore.Load() {
			return true
		}
	}
	if query == "all" {
		return s.rows(w)
	}
	return w.send(okPacket...) == nil
}

// rows sends a result set of one column and two rows.
func (s *server) rows(w *wire) bool {
	column := append([]byte("\x03def\x00\x00\x00\x01n\x00"), 0x0c, 45, 0, 16, 0, 0, 0, 253, 0, 0, 0, 0, 0)
	for _, p := range [][]byte{{1}, column, {0xfe, 0, 0, 2, 0}, []byte("\x011")} {
		if w.send(p...) != nil {
			return false
		}
	}
	if s.cut.Load() {
		return false
	}
	return w.send([]byte("\x012")...) == nil && w.send(0xfe, 0, 0, 2, 0) == nil
}
