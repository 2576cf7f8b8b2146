package herzredis

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
)

const (
	// pingAfter is the silence after which the server is asked for a sign of life before a command is sent.
	pingAfter = time.Second
	// pingShare is the part of HeartbeatTimeout that this may take, 1 s of 3.2 s: the rest is for a dial.
	pingShare = 5.0 / 16
)

// path remembers, for the connections of one client, when its server last failed to answer a ping.
type path struct {
	start time.Time
	asked atomic.Int64 // when the ping was sent that was not answered; 0: none
}

func (p *path) now() int64 { return int64(time.Since(p.start)) + 1 }

// session is a connection to Redis that was silent for a second is pinged before the next command is written to it: a
// connection whose path is gone takes a command, and only its answer never comes. go-redis has no place for such a check.
// A failed ping refuses the write, so that nothing of the command was sent and the hook repeats it elsewhere.
//
// go-redis writes and reads a connection by turns, except for Pub/Sub, where somebody always reads; such a connection is never
// pinged, and neither is one whose answer is still to come.
type session struct {
	net.Conn // the guarded connection, or TLS over it

	g      *guard.Conn
	path   *path
	limit  time.Duration
	heard  atomic.Int64 // of the newest byte from the server
	until  atomic.Int64 // the write deadline in force, as UnixNano; 0: none
	first  atomic.Int64 // by when the first answer must be there, as UnixNano; 0: no limit but the client's own, or it was there
	awaits atomic.Bool  // something was written and nothing read since

	// turn is held by whoever reads the connection, and guards early. A ping only tries to take it: where somebody reads, there is
	// no ping. Nothing but the read happens under it, which its deadline or the limit of the ping ends.
	turn  sync.Mutex
	early []byte // what the server said of its own accord before it answered the ping
}

// newSession puts the ping over a guarded connection, on which the first answer has to come by a time, unless that is zero. What is not
// guarded is returned as it is.
func newSession(nc net.Conn, p *path, o guard.Options, first time.Time) net.Conn {
	g, ok := guard.From(nc)
	if !ok {
		return nc
	}
	s := &session{Conn: nc, g: g, path: p, limit: time.Duration(float64(budgetOf(o)) * pingShare)}
	s.heard.Store(p.now())
	if !first.IsZero() {
		s.first.Store(first.UnixNano())
	}
	if sc, ok := nc.(syscall.Conn); ok {
		return &openSession{s, sc}
	}
	return s
}

// openSession is a session whose descriptor go-redis may look at. Under TLS it must not: it would take records for data.
type openSession struct {
	*session
	syscall.Conn
}

// SyscallConn is what go-redis asks for when it takes a connection out of its pool, to look whether it lives. One that is condemned, because
// its name leads elsewhere, is refused there, where nothing was begun on it.
func (s *openSession) SyscallConn() (syscall.RawConn, error) {
	if _, condemned := s.g.Condemned(); condemned {
		return nil, guard.ErrDead
	}
	return s.Conn.SyscallConn()
}

// NetConn gives the connection below, so that guard.From finds the guard.
func (s *session) NetConn() net.Conn { return s.Conn }

// SetDeadline sets both deadlines.
func (s *session) SetDeadline(t time.Time) error {
	s.noteDeadline(t)
	return s.Conn.SetDeadline(s.bounded(t))
}

// SetReadDeadline sets the deadline of reads.
func (s *session) SetReadDeadline(t time.Time) error { return s.Conn.SetReadDeadline(s.bounded(t)) }

// bounded is the deadline, or the time by which the first answer has to come when that is earlier.
func (s *session) bounded(t time.Time) time.Time {
	if first := s.first.Load(); first != 0 && (t.IsZero() || t.UnixNano() > first) {
		return time.Unix(0, first)
	}
	return t
}

// SetWriteDeadline sets the deadline of writes.
func (s *session) SetWriteDeadline(t time.Time) error {
	s.noteDeadline(t)
	return s.Conn.SetWriteDeadline(t)
}

func (s *session) noteDeadline(t time.Time) {
	if t.IsZero() {
		s.until.Store(0)
		return
	}
	s.until.Store(t.UnixNano())
}

// Read reads what the server said.
func (s *session) Read(b []byte) (int, error) {
	s.turn.Lock()
	defer s.turn.Unlock()
	if len(s.early) > 0 {
		n := copy(b, s.early)
		s.early = s.early[n:]
		return n, nil
	}
	n, err := s.Conn.Read(b)
	if n > 0 {
		s.heard.Store(s.path.now())
		s.first.Store(0)
		s.awaits.Store(false)
	}
	return n, err
}

// Write sends a command, after a ping when the server was silent for long.
func (s *session) Write(b []byte) (int, error) {
	if heard := s.heard.Load(); s.path.now()-heard > int64(pingAfter) && !s.awaits.Load() && s.turn.TryLock() {
		err := s.check(heard)
		s.turn.Unlock()
		if err != nil {
			return 0, err
		}
	}
	s.awaits.Store(true)
	return s.Conn.Write(b)
}

// check refuses a connection whose server does not answer. After one was not answered, the other connections that have heard
// nothing since are refused without a ping: a caller has time for one.
func (s *session) check(heard int64) error {
	if heard < s.path.asked.Load() {
		s.g.Abort(conn.Heartbeat)
		return s.refusal("its server stopped answering on another connection")
	}
	asked := s.path.now()
	silence, err := s.ping()
	if err == nil {
		s.heard.Store(s.path.now())
		return nil
	}
	if silence {
		s.path.asked.Store(asked)
	}
	s.g.Abort(conn.Heartbeat)
	return s.refusal("it did not answer a ping: " + err.Error())
}

// refusal says that nothing of the command was sent.
func (s *session) refusal(why string) error {
	d, _ := s.g.Death()
	d.BytesSent = 0
	if d.Detail == "" {
		d.Detail = why
	}
	return &guard.DeadError{Death: d}
}

var (
	pingCommand = []byte("*1\r\n$4\r\nPING\r\n")
	errOddReply = errors.New("the answer to a ping was not PONG")
)

// ping asks for a sign of life within the limit and within half of what the caller has left, and reports whether none came.
func (s *session) ping() (silence bool, err error) {
	until := s.until.Load()
	limit := s.limit
	if until != 0 {
		limit = min(limit, time.Until(time.Unix(0, until))/2)
	}
	if err := s.Conn.SetDeadline(time.Now().Add(limit)); err != nil {
		return false, err
	}
	stop := s.g.Expect(limit)
	if _, err = s.Conn.Write(pingCommand); err == nil {
		err = s.pong()
	}
	if silence = !stop(); err == nil && silence {
		err = os.ErrDeadlineExceeded // its socket is gone all the same
	}
	if err != nil {
		return silence || errors.Is(err, os.ErrDeadlineExceeded), err
	}
	var deadline time.Time
	if until != 0 {
		deadline = time.Unix(0, until)
	}
	return false, errors.Join(s.Conn.SetReadDeadline(time.Time{}), s.Conn.SetWriteDeadline(deadline))
}

// pong reads the answer. RESP3 servers may push messages of their own at any time (redis.io, RESP protocol specification,
// pushes); those are kept for the next read.
func (s *session) pong() error {
	var kept bytes.Buffer
	in := bufio.NewReaderSize(io.TeeReader(s.Conn, &kept), 16) // the smallest: it must not read past the answer for long
	for {
		before := kept.Len() - in.Buffered()
		line, err := in.ReadString('\n')
		switch {
		case err != nil:
			return err
		case line == "+PONG\r\n", line[0] == '-': // an error is a sign of life too: the command will meet it
			s.early = append(bytes.Clone(kept.Bytes()[:before]), kept.Bytes()[before+len(line):]...)
			return nil
		case line[0] != '>':
			return errOddReply
		}
		if err := skip(in, line); err != nil {
			return err
		}
	}
}

// skip reads the rest of the value whose first line was read.
func skip(in *bufio.Reader, line string) error {
	n, _ := strconv.Atoi(line[1:max(len(line)-2, 1)]) // a value without a number has no rest
	switch line[0] {
	case '$', '=', '!':
		_, err := in.Discard(max(n+2, 0))
		return err
	case '%', '|':
		n *= 2
	case '>', '*', '~':
	default:
		return nil
	}
	for range n {
		next, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		if err := skip(in, next); err != nil {
			return err
		}
	}
	return nil
}
