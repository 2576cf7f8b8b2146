package herzpgx

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"weak"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
	"herz.example/herz/herzsql"
)

// stream is what pgx speaks its protocol over: the guarded socket, or TLS over it. It gives a lost answer the one shape in which
// pgx reports it.
//
// pgx looks ahead in the answer to a statement without arguments. When that read fails by anything but a time-out it closes
// the connection and forgets the error; the next read then says "conn closed", which pgx calls safe to retry, so that
// database/sql repeats a statement that may have been executed (pgconn v5.12.0, MultiResultReader.NextResult, peekMessage,
// connLockError; a stock *sql.DB executes it three times). So the first report is a time-out, after which pgx reads again, and every
// later one is not, after which it closes.
type stream struct {
	net.Conn

	g      *guard.Conn
	told   atomic.Pointer[weak.Pointer[guard.AmbiguousError]] // weak: pgx may keep the stream for long, and whether anybody looks at the error is told by its end
	onLost func(*guard.AmbiguousError)                        // nil: nobody wants to know
	probe  herzsql.Probe                                      // made at the first loan, and kept because it would cost an allocation at each
}

// guardOf is the guard under a connection, nil when there is none, and what the connection can be asked. It belongs to whoever has borrowed the
// connection.
func guardOf(c *pgx.Conn) (*guard.Conn, herzsql.Probe) {
	s, ok := c.PgConn().Conn().(*stream)
	if !ok { // the application has put its own connection over it
		g, _ := guard.From(c.PgConn().Conn())
		return g, herzsql.Probe{Ping: c.PgConn().Ping, Conn: c}
	}
	if s.probe.Conn != c {
		s.probe = herzsql.Probe{Ping: c.PgConn().Ping, Conn: c}
	}
	return s.g, s.probe
}

func newStream(nc net.Conn) net.Conn {
	g, ok := guard.From(nc)
	if !ok {
		return nc
	}
	return &stream{Conn: nc, g: g}
}

// onLost has told called with the error of each lost answer.
func onLost(cfg *pgconn.Config, told func(*guard.AmbiguousError)) {
	own := cfg.AfterNetConnect
	cfg.AfterNetConnect = func(ctx context.Context, c *pgconn.Config, nc net.Conn) (net.Conn, error) {
		if own != nil {
			var err error
			if nc, err = own(ctx, c, nc); err != nil {
				return nil, err
			}
		}
		if s, ok := nc.(*stream); ok {
			s.onLost = told
		}
		return nc, nil
	}
}

// Read reads, and gives the end of the stream in mid-answer its shape.
func (s *stream) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	if err == nil {
		return n, nil
	}
	var late net.Error
	if errors.As(err, &late) && late.Timeout() || s.g.Delivery() == conn.NothingSent {
		return n, err
	}
	var facts *guard.AmbiguousError
	if !errors.As(err, &facts) {
		facts = s.facts(err)
	}
	if mine := weak.Make(facts); s.told.CompareAndSwap(nil, &mine) {
		if s.onLost != nil {
			s.onLost(facts)
		}
		return n, &lost{facts}
	}
	if first := s.told.Load().Value(); first != nil {
		facts = first // to look at either is to look at both
	}
	return n, facts
}

// facts are for an error that did not come from the guard: the goodbye of TLS, which looks like a clean end.
func (s *stream) facts(err error) *guard.AmbiguousError {
	if d, ok := s.g.Death(); ok {
		return &guard.AmbiguousError{Death: d}
	}
	d := conn.Death{ID: s.g.ID(), Cause: conn.PeerFIN, Phase: "processing", Detail: err.Error()}
	if a := s.g.RemoteAddr(); a != nil {
		d.Peer = a.String()
	}
	return &guard.AmbiguousError{Death: d}
}

// NetConn gives the connection below, so that guard.From finds the guard.
func (s *stream) NetConn() net.Conn { return s.Conn }

// lost is a lost answer in the shape of a time-out.
type lost struct{ facts *guard.AmbiguousError }

func (e *lost) Error() string { return e.facts.Error() }

// Unwrap gives the facts: it is guard.ErrAmbiguous.
func (e *lost) Unwrap() error { return e.facts }

// Timeout reports true, for pgx.
func (e *lost) Timeout() bool { return true }

// Temporary reports false. It is part of net.Error.
func (e *lost) Temporary() bool { return false }

// As notes that the caller asks for the facts, and leaves it to errors.As to find them.
func (e *lost) As(target any) bool {
	if _, facts := target.(**guard.AmbiguousError); facts {
		e.SafeToRetry()
	}
	return false
}

// SafeToRetry reports false.
func (e *lost) SafeToRetry() bool { return e.facts.SafeToRetry() }
