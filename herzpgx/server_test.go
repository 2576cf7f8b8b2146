package herzpgx_test

import (
	"crypto/tls"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
)

// server speaks as much of the PostgreSQL protocol as these tests need: no password, statements that return nothing, and
// one result set, by the simple and by the extended protocol.
type server struct {
	listener net.Listener
	wg       sync.WaitGroup

	tls atomic.Pointer[tls.Config] // what it answers to a client that asks for TLS

	accepted atomic.Int64
	canceled atomic.Int64
	executed atomic.Int64 // statements carried out
	swallow  atomic.Bool  // carries out and closes instead of answering
	ignore   atomic.Bool  // carries out and never answers
	cut      atomic.Bool  // closes in the middle of a result set
	pause    atomic.Bool  // stops in the middle of a result set
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
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns[nc] = struct{}{}
			s.mu.Unlock()
			s.wg.Add(1)
			go s.serve(nc)
		}
	}()
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

func (s *server) fallSilent() { s.silent.Store(s.accepted.Load()) }

// session is one connection.
type session struct {
	s      *server
	n      int64
	b      *pgproto3.Backend
	status byte
	parsed map[string]string
	bound  string
}

func (s *server) serve(nc net.Conn) {
	defer s.wg.Done()
	defer func() {
		_ = nc.Close()
		s.mu.Lock()
		delete(s.conns, nc)
		s.mu.Unlock()
	}()
	b := pgproto3.NewBackend(nc, nc)
	first, err := b.ReceiveStartupMessage()
	if _, secure := first.(*pgproto3.SSLRequest); secure {
		if _, err := nc.Write([]byte("S")); err != nil {
			return
		}
		over := tls.Server(nc, s.tls.Load())
		defer over.Close() // with a goodbye, which is what a clean end looks like
		b = pgproto3.NewBackend(over, over)
		first, err = b.ReceiveStartupMessage()
	}
	if err != nil {
		return
	}
	if _, cancel := first.(*pgproto3.CancelRequest); cancel {
		s.canceled.Add(1)
		return
	}
	x := &session{s: s, n: s.accepted.Add(1), b: b, status: 'I', parsed: map[string]string{}}
	b.Send(&pgproto3.AuthenticationOk{})
	b.Send(&pgproto3.BackendKeyData{ProcessID: 1, SecretKey: []byte{1, 2, 3, 4}})
	b.Send(&pgproto3.ReadyForQuery{TxStatus: x.status})
	for b.Flush() == nil {
		m, err := b.Receive()
		if err != nil {
			return
		}
		if x.n <= s.silent.Load() {
			continue
		}
		if !x.answer(m) {
			return
		}
	}
}

func (x *session) answer(m pgproto3.FrontendMessage) (again bool) {
	switch m := m.(type) {
	case *pgproto3.Terminate:
		return false
	case *pgproto3.Query:
		if !x.run(m.String, true) {
			return x.waits()
		}
		x.b.Send(&pgproto3.ReadyForQuery{TxStatus: x.status})
	case *pgproto3.Parse:
		x.parsed[m.Name] = m.Query
		x.b.Send(&pgproto3.ParseComplete{})
	case *pgproto3.Describe:
		query := x.bound
		if m.ObjectType == 'S' {
			query = x.parsed[m.Name]
			x.b.Send(&pgproto3.ParameterDescription{})
		}
		if query == "all" {
			x.b.Send(description)
		} else {
			x.b.Send(&pgproto3.NoData{})
		}
	case *pgproto3.Bind:
		x.bound = x.parsed[m.PreparedStatement]
		x.b.Send(&pgproto3.BindComplete{})
	case *pgproto3.Execute:
		if !x.run(x.bound, false) {
			return x.waits()
		}
	case *pgproto3.Close:
		x.b.Send(&pgproto3.CloseComplete{})
	case *pgproto3.Sync:
		if x.waits() {
			return true
		}
		x.b.Send(&pgproto3.ReadyForQuery{TxStatus: x.status})
	}
	return true
}

// waits reports whether the server stops answering and keeps the connection.
func (x *session) waits() bool { return x.s.ignore.Load() || x.s.pause.Load() && x.bound == "all" }

var description = &pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{{Name: []byte("n"), DataTypeOID: 25, DataTypeSize: -1, TypeModifier: -1}}}

// run carries a statement out. False: no answer is to follow.
func (x *session) run(query string, describe bool) bool {
	if strings.Contains(query, "pg_control_system") { // who are you?
		x.b.Send(&pgproto3.EmptyQueryResponse{})
		return true
	}
	verb, _, _ := strings.Cut(query, " ")
	switch verb {
	case "begin":
		x.status = 'T'
	case "commit", "rollback":
		x.status = 'I'
	}
	if verb != "begin" && verb != "--" && verb != "warm" {
		x.s.executed.Add(1)
		if x.s.swallow.Load() || x.s.ignore.Load() {
			return false
		}
	}
	if verb == "all" {
		if describe {
			x.b.Send(description)
		}
		x.b.Send(&pgproto3.DataRow{Values: [][]byte{[]byte("1")}})
		if x.s.cut.Load() || x.s.pause.Load() {
			_ = x.b.Flush()
			return false
		}
		x.b.Send(&pgproto3.DataRow{Values: [][]byte{[]byte("2")}})
	}
	x.b.Send(&pgproto3.CommandComplete{CommandTag: []byte("OK 1")})
	return true
}
