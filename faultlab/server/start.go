//go:build linux

package server

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"time"
)

// startOnFreePort tries ports below the range that the kernel gives to outgoing connections, so that nobody takes the
// port while the server is down.
func (s *Server) startOnFreePort() error {
	var err error
	for range 5 {
		s.Port = 15000 + rand.IntN(15000)
		err = s.opt.Enter(func() error {
			ln, err := net.Listen("tcp4", net.JoinHostPort(s.opt.Listen, strconv.Itoa(s.Port)))
			if err != nil {
				return err
			}
			return ln.Close()
		})
		if err == nil {
			if err = s.start(); err == nil {
				return nil
			}
		}
	}
	return fmt.Errorf("start %v: %w", s.Kind, err)
}

func (s *Server) start() error {
	p := s.Kind.product()
	path, err := p.program(p.server)
	if err != nil {
		return err
	}
	arguments, err := p.arguments(s)
	if err != nil {
		return err
	}
	err = s.opt.Enter(func() (err error) {
		s.proc, err = launch(s.account, path, arguments, s.dir, s.log())
		return err
	})
	if err != nil {
		return err
	}
	if err := s.awaitReady(); err != nil {
		return errors.Join(fmt.Errorf("%w: %s", err, tail(s.log())), s.Kill())
	}
	return nil
}

// awaitReady waits until the server answers.
func (s *Server) awaitReady() error {
	ctx, cancel := context.WithTimeout(context.Background(), readyTime)
	defer cancel()
	for {
		err := s.ask(ctx)
		if err == nil {
			return nil
		}
		pause := time.NewTimer(pollEvery)
		select {
		case <-pause.C:
		case <-s.proc.ended:
			pause.Stop()
			return fmt.Errorf("%v ended before it answered", s.Kind)
		case <-ctx.Done():
			pause.Stop()
			return fmt.Errorf("%v did not answer within %v: %w", s.Kind, readyTime, err)
		}
	}
}

func (s *Server) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return s.Kind.product().ready(ctx, s)
}

// answersSQL asks by a query, on a connection of its own.
func answersSQL(ctx context.Context, s *Server) error {
	return s.withDB(func(db *sql.DB) error {
		var one int
		return db.QueryRowContext(ctx, "SELECT 1").Scan(&one)
	})
}

// withDB gives the owner's database, which keeps no connection.
func (s *Server) withDB(use func(db *sql.DB) error) error {
	dsn := s.DSN()
	if s.opt.Transaction {
		dsn += "&default_query_exec_mode=simple_protocol"
	}
	db, err := sql.Open(s.Kind.Driver(), dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxIdleConns(-1)
	return use(db)
}

// answersTCP asks by a dial.
func answersTCP(ctx context.Context, s *Server) error {
	nc, err := dial(ctx, s)
	if err != nil {
		return err
	}
	return nc.Close()
}

func dial(ctx context.Context, s *Server) (net.Conn, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", s.Addr())
	if err != nil {
		return nil, err
	}
	deadline, _ := ctx.Deadline()
	return nc, nc.SetDeadline(deadline)
}
