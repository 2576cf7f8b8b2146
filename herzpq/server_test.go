package herzpq_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// server speaks as much of the PostgreSQL protocol (version 3.0) as these tests need: no password, statements that return nothing, and
// one result set, by simple and by extended queries.
type server struct {
	listener net.Listener
	wg       sync.WaitGroup

	accepted atomic.Int64
	canceled atomic.Int64 // cancel requests, which are never obeyed
	executed atomic.Int64 // statements carried out
	swallow  atomic.Bool  // carries out and closes instead of answering
	ignore   atomic.Bool  // carries out and never answers
	cut      atomic.Bool  // closes in the middle of a result set
	pause    atomic.Bool  // stops in the middle of a result set
	frozen   atomic.Bool  // takes cancel requests and never ends their connections
	silent   atomic.Int64 // connections up to this one are never answered

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
	s.wg.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns[nc] = struct{}{}
			s.mu.Unlock()
			s.wg.Go(func() { s.serve(nc) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		s.hangUp()
		s.wg.Wait()
	})
	return s
}

func (s *server) dsn() string {
	return "postgres://user@" + s.listener.Addr().String() + "/shop?sslmode=disable"
}

func (s *server) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for nc := range s.conns {
		_ = nc.Close()
		delete(s.conns, nc)
	}
}

func (s *server) open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

func (s *server) fallSilent() { s.silent.Store(s.accepted.Load()) }

func (s *server) serve(nc net.Conn) {
	defer func() {
		_ = nc.Close()
		s.mu.Lock()
		delete(s.conns, nc)
		s.mu.Unlock()
	}()
	x := &session{s: s, in: bufio.NewReader(nc), status: 'I', parsed: map[string]string{}}
	first, err := x.body()
	if err != nil {
		return
	}
	if binary.BigEndian.Uint32(first) == cancelRequest {
		s.canceled.Add(1)
		if s.frozen.Load() {
			_, _ = io.Copy(io.Discard, nc)
		}
		return
	}
	x.n = s.accepted.Add(1)
	x.send('R', 0, 0, 0, 0)
	x.send('K', 0, 0, 0, 1, 1, 2, 3, 4)
	x.send('Z', x.status)
	for again := true; again; {
		if _, err := nc.Write(x.out.Bytes()); err != nil {
			return
		}
		x.out.Reset()
		kind, err := x.in.ReadByte()
		if err != nil {
			return
		}
		body, err := x.body()
		if err != nil {
			return
		}
		if x.n > s.silent.Load() {
			again = x.answer(kind, body)
		}
	}
	_, _ = nc.Write(x.out.Bytes())
}

const cancelRequest = 80877102

// session is one connection.
type session struct {
	s      *server
	n      int64
	in     *bufio.Reader
	out    bytes.Buffer
	status byte
	parsed map[string]string
	bound  string
	quiet  bool // answers nothing any more
}

// body reads a message after its kind.
func (x *session) body() ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(x.in, size[:]); err != nil {
		return nil, err
	}
	body := make([]byte, binary.BigEndian.Uint32(size[:])-4)
	_, err := io.ReadFull(x.in, body)
	return body, err
}

func (x *session) send(kind byte, body ...byte) {
	if x.quiet {
		return
	}
	x.out.WriteByte(kind)
	_ = binary.Write(&x.out, binary.BigEndian, uint32(len(body)+4))
	x.out.Write(body)
}

// text cuts a string off a message.
func text(body []byte) (s string, rest []byte) {
	head, rest, _ := bytes.Cut(body, []byte{0})
	return string(head), rest
}

// answer handles one message. False: the server closes.
func (x *session) answer(kind byte, body []byte) (again bool) {
	switch kind {
	case 'X':
		return false
	case 'Q':
		query, _ := text(body)
		if !x.run(query, true) {
			return x.quiet
		}
		x.send('Z', x.status)
	case 'P':
		name, rest := text(body)
		x.parsed[name], _ = text(rest)
		x.send('1')
	case 'D':
		name, _ := text(body[1:])
		query := x.parsed[name]
		places := strings.Count(query, "$")
		x.send('t', append([]byte{0, byte(places)}, bytes.Repeat([]byte{0, 0, 0, 25}, places)...)...)
		x.describe(query)
	case 'B':
		_, rest := text(body)
		name, _ := text(rest)
		x.bound = x.parsed[name]
		x.send('2')
	case 'E':
		if !x.run(x.bound, false) {
			return x.quiet
		}
	case 'C':
		x.send('3')
	case 'S':
		x.send('Z', x.status)
	}
	return true
}

// describe says which columns a query has: one of type text, or none.
func (x *session) describe(query string) {
	if !strings.HasPrefix(query, "all") {
		x.send('n')
		return
	}
	x.send('T', 0, 1, 'n', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 25, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0)
}

// run carries a statement out. False: no answer is to follow.
func (x *session) run(query string, describe bool) bool {
	verb, _, _ := strings.Cut(strings.ToLower(query), " ")
	if strings.Contains(query, "pg_control_system") { // who are you?
		verb = ""
	}
	switch verb {
	case ";", "":
		x.send('I')
		return true
	case "begin":
		x.status = 'T'
	case "commit", "rollback":
		x.status = 'I'
	}
	if verb != "begin" && verb != "warm" {
		x.s.executed.Add(1)
		x.quiet = x.s.ignore.Load()
		if x.quiet || x.s.swallow.Load() {
			return false
		}
	}
	if verb == "all" {
		if describe {
			x.describe(query)
		}
		x.send('D', 0, 1, 0, 0, 0, 1, '1')
		x.quiet = x.s.pause.Load()
		if x.quiet || x.s.cut.Load() {
			return false
		}
		x.send('D', 0, 1, 0, 0, 0, 1, '2')
		x.send('C', []byte("SELECT 2\x00")...)
		return true
	}
	x.send('C', append([]byte(strings.ToUpper(verb)), 0)...)
	return true
}
