package herzsql

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
)

// Server is who answers on a connection.
type Server struct {
	// Name is what the server calls itself, and differs from that of every other server that could take its place.
	Name string
	// ReadOnly says that the server refuses writes: it is a replica, or was told to.
	ReadOnly bool
}

// String gives the name and the role.
func (s Server) String() string {
	if s.ReadOnly {
		return s.Name + " (read-only)"
	}
	return s.Name + " (writable)"
}

// RoleError says that a server was reached that has not the role which [RequireWritable] or [RequireReplica] asks for.
type RoleError struct {
	Pool   string
	Peer   string // address; empty where it is not known
	Server Server // zero where the server does not say who it is
	Need   string // "writable" or "read-only"
}

// Error says what was wanted and what was found.
func (e *RoleError) Error() string {
	found := "the server does not tell its role"
	if e.Server.Name != "" {
		found = "the server is " + e.Server.String()
	}
	return fmt.Sprintf("herz/herzsql: %q: connection to %s given up: a %s server is required, and %s; "+
		"wait for the fail-over to end, or change the address", e.Pool, e.Peer, e.Need, found)
}

// Cause is conn.Identity.
func (e *RoleError) Cause() conn.Cause { return conn.Identity }

// SafeToRetry reports true: nothing was sent for the caller.
func (e *RoleError) SafeToRetry() bool { return true }

type need uint8

const (
	anyRole need = iota
	writable
	replica
)

func (n need) String() string {
	return [...]string{"any", "writable", "read-only"}[n]
}

func (n need) metBy(s *Server) bool {
	return n == anyRole || s != nil && s.ReadOnly == (n == replica)
}

// RequireWritable takes only servers that accept writes. Each dial asks for the role, and one that leads to a replica, or to a server that does not
// tell, fails with a [*RoleError]; a connection whose server was demoted is not lent again. It needs a driver whose adapter can ask
// (herzmysql, herzpgx, herzpq); without one Open fails.
func RequireWritable() Option { return func(s *settings) { s.need = writable } }

// RequireReplica takes only servers that refuse writes, in the manner of [RequireWritable].
func RequireReplica() Option { return func(s *settings) { s.need = replica } }

// WithoutIdentity stops Herz from asking servers who they are, which costs a round trip per dial and takes the place of
// pings. What changes behind an address is then seen by errors only.
func WithoutIdentity() Option { return func(s *settings) { s.anonymous = true } }

// asker asks the servers of one database who they are.
type asker struct {
	pool string
	ask  func(context.Context, any) (Server, error) // nil: nobody is asked
	need need
	lost func(error) bool // as Driver.Hides

	query string // of WithValidationQuery; empty: none
	run   func(ctx context.Context, c any, query string) error
}

func newAsker(s *settings, facts Driver) (asker, error) {
	a := asker{pool: s.name, ask: facts.Identity, need: s.need, lost: facts.Hides, query: s.validation, run: facts.Query}
	if a.run == nil {
		a.run = runQuery
	}
	if s.anonymous {
		a.ask = nil
	}
	if a.need != anyRole && a.ask == nil {
		return a, fmt.Errorf("herz/herzsql: open %q: a %s server is required, and this driver cannot be asked for the role: "+
			"use one with an adapter, and not WithoutIdentity", s.name, a.need)
	}
	return a, nil
}

// introduce asks the server of a new connection; nil where it does not tell. An error means that the connection is of no use.
func (a asker) introduce(ctx context.Context, c any, g *guard.Conn) (*Server, error) {
	if err := a.validateNew(ctx, c); err != nil {
		return nil, err
	}
	if a.ask == nil {
		return nil, nil
	}
	var who *Server
	switch s, err := a.ask(ctx, c); {
	case err == nil:
		who = &s
	case a.fatal(ctx, err) || g != nil && g.Dead():
		return nil, &unheard{ctx: ctx.Err(), err: err}
	}
	if !a.need.metBy(who) {
		e := &RoleError{Pool: a.pool, Need: a.need.String()}
		if g != nil {
			e.Peer = peerOf(g)
		}
		if who != nil {
			e.Server = *who
		}
		return nil, e
	}
	return who, nil
}

// unheard is a dial whose server did not say who it is. To the caller it is a failed dial: that something was asked and not answered is nothing of
// his, so that the error is not guard.ErrAmbiguous.
type unheard struct{ ctx, err error }

func (e *unheard) Error() string { return "ask the new connection who its server is: " + e.err.Error() }

// Unwrap gives the end of the context, where that was the reason.
func (e *unheard) Unwrap() error { return e.ctx }

// fatal tells the end of a connection from a server that answered and does not know the question, or may not tell.
func (a asker) fatal(ctx context.Context, err error) bool {
	var network net.Error
	return ctx.Err() != nil || errors.Is(err, driver.ErrBadConn) || errors.Is(err, guard.ErrDead) || errors.Is(err, guard.ErrAmbiguous) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &network) || a.lost != nil && a.lost(err)
}

// steadyAnswers is how many answers in a row must agree before a change of server is believed. A proxy that hands every statement to
// another server says something else each time, and means nothing by it.
const steadyAnswers = 3

// meet asks again on a connection whose server said before that it is was. Nil and no error: it does not tell any more, or gives a
// different answer each time.
func (a asker) meet(ctx context.Context, c any, was Server) (*Server, error) {
	var first Server
	for n := range steadyAnswers {
		s, err := a.ask(ctx, c)
		switch {
		case err != nil && a.fatal(ctx, err):
			return nil, err
		case err != nil:
			return nil, nil
		case s == was && n == 0:
			return &s, nil
		case n == 0:
			first = s
		case s != first:
			return nil, nil
		}
	}
	return &first, nil
}

// AskServer runs a query of one row and two columns, the name of the server and whether it is read-only, on a connection that is a
// driver.QueryerContext. It is for the Identity of a [Driver].
func AskServer(ctx context.Context, c any, query string) (Server, error) {
	q, ok := c.(driver.QueryerContext)
	if !ok {
		return Server{}, errors.New("herz/herzsql: the driver has no QueryerContext")
	}
	rows, err := q.QueryContext(ctx, query, nil)
	if err != nil {
		return Server{}, err
	}
	values := make([]driver.Value, len(rows.Columns()))
	err = rows.Next(values)
	closed := rows.Close()
	switch {
	case err == io.EOF: //nolint:errorlint // the contract of driver.Rows
		return Server{}, errors.New("herz/herzsql: the server answered with no row")
	case err != nil:
		return Server{}, errors.Join(err, closed)
	case closed != nil:
		return Server{}, closed
	case len(values) != 2:
		return Server{}, fmt.Errorf("herz/herzsql: the server answered with %d columns in place of 2", len(values))
	}
	return Server{Name: text(values[0]), ReadOnly: truth(values[1])}, nil
}

func text(v driver.Value) string {
	switch v := v.(type) {
	case []byte:
		return string(v)
	case nil:
		return ""
	default:
		return fmt.Sprint(v)
	}
}

// truth reads a flag as databases write it: a boolean, a number, or a word.
func truth(v driver.Value) bool {
	word := strings.ToLower(text(v))
	if n, err := strconv.ParseFloat(word, 64); err == nil {
		return n != 0
	}
	switch word {
	case "", "f", "false", "off", "no":
		return false
	default:
		return true
	}
}

// roleQuestionAfter is the shortest time between two rounds of questions that errors of statements cause, so that an application which keeps writing
// to a replica does not keep asking.
const roleQuestionAfter = time.Second
