package herzpgx

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
)

// Guard makes every connection of cfg a guarded one. The options are guard.SQL unless others are given. The DialFunc of cfg
// is kept, what it dials is guarded, and it is given no longer than Options.HeartbeatTimeout. Where cfg names several
// hosts and no ConnectTimeout, each host gets an equal part of that time, so that a silent one does not use it up.
func Guard(cfg *pgx.ConnConfig, o ...guard.Options) {
	options := guard.SQL
	if len(o) > 0 {
		options = o[0]
	}
	budget := options.HeartbeatTimeout
	if budget == 0 {
		budget = guard.DefaultHeartbeatTimeout
	}
	if n := hosts(cfg); n > 1 && cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = budget / time.Duration(n)
	}
	own := cfg.DialFunc
	if own == nil {
		own = new(net.Dialer).DialContext
	}
	cfg.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		dctx, cancel := context.WithTimeout(ctx, budget)
		defer cancel()
		nc, err := own(dctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &socket{Conn: guard.WrapContext(ctx, nc, options).Surface()}, nil
	}
	after := cfg.AfterNetConnect
	cfg.AfterNetConnect = func(ctx context.Context, c *pgconn.Config, nc net.Conn) (net.Conn, error) {
		if after != nil {
			var err error
			if nc, err = after(ctx, c, nc); err != nil {
				return nil, err
			}
		}
		return newStream(nc), nil
	}
}

func hosts(cfg *pgx.ConnConfig) int {
	seen := map[string]bool{cfg.Host: true}
	for _, f := range cfg.Fallbacks {
		seen[f.Host] = true
	}
	return len(seen)
}

// socket is a guarded connection that knows whether it carries a cancel request. Such a connection ends by the server's
// close, which pgx expects to be io.EOF and the guard must not call a lost answer.
type socket struct {
	net.Conn

	wrote  atomic.Bool
	cancel atomic.Bool
}

// cancelRequest is the code in the only message of such a connection (PostgreSQL, protocol message formats, CancelRequest).
const cancelRequest = 80877102

// Write sends b and notes what the first message is.
func (s *socket) Write(b []byte) (int, error) {
	if !s.wrote.Load() {
		s.wrote.Store(true)
		s.cancel.Store(len(b) >= 8 && binary.BigEndian.Uint32(b[4:]) == cancelRequest)
	}
	return s.Conn.Write(b)
}

// Read reads; the end of a cancel connection is io.EOF.
func (s *socket) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	if err != nil && s.cancel.Load() {
		var lost *guard.AmbiguousError
		if errors.As(err, &lost) && lost.Cause == conn.PeerFIN {
			err = io.EOF
		}
	}
	return n, err
}

// NetConn gives the guarded connection, so that guard.From finds it.
func (s *socket) NetConn() net.Conn { return s.Conn }

// SyscallConn gives the descriptor of the guarded connection.
func (s *socket) SyscallConn() (syscall.RawConn, error) {
	sc, ok := s.Conn.(syscall.Conn)
	if !ok {
		return nil, errors.New("herz/herzpgx: the connection has no descriptor")
	}
	return sc.SyscallConn()
}
