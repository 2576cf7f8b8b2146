package herzredis_test

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"herz.example/herz/guard"
	"herz.example/herz/herzredis"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func client(t *testing.T, s *server, change func(o *redis.Options)) *redis.Client {
	t.Helper()
	o := &redis.Options{Addr: s.listener.Addr().String(), PoolSize: 4}
	if change != nil {
		change(o)
	}
	c := herzredis.NewClient(o)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// fill makes n connections and leaves them idle.
func fill(t *testing.T, c *redis.Client, n int) {
	t.Helper()
	held := make([]*redis.Conn, n)
	for i := range held {
		held[i] = c.Conn()
		if err := held[i].Ping(context.Background()).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for _, h := range held {
		_ = h.Close()
	}
}

func (s *server) awaitDeaths(t *testing.T) {
	t.Helper()
	alive := func() bool {
		for _, g := range guard.Live() {
			if g.RemoteAddr().String() == s.listener.Addr().String() && !g.Dead() {
				return true
			}
		}
		return false
	}
	for deadline := time.Now().Add(5 * time.Second); alive(); {
		if time.Now().After(deadline) {
			t.Fatal("the guards did not see within 5 s that the server has closed")
		}
		time.Sleep(time.Millisecond)
	}
}

func TestDeadConnectionIsNeverLent(t *testing.T) {
	s := newServer(t)
	c := client(t, s, nil)
	fill(t, c, 4)
	s.hangUp()
	s.awaitDeaths(t)
	for range 8 {
		if err := c.Incr(context.Background(), "n").Err(); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.counter.Load(); n != 8 {
		t.Errorf("counted %d, not 8", n)
	}
}

// blind hides what go-redis' own check would find, so that only the guard refuses.
type blind struct{ net.Conn }

func (b blind) NetConn() net.Conn { return b.Conn }

func TestRefusedCommandIsRepeatedOnAnotherConnection(t *testing.T) {
	ctx := context.Background()
	for name, run := range map[string]func(c *redis.Client) error{
		"command":  func(c *redis.Client) error { return c.Incr(ctx, "n").Err() },
		"pipeline": func(c *redis.Client) error { _, err := c.Pipelined(ctx, incr); return err },
		"multi":    func(c *redis.Client) error { _, err := c.TxPipelined(ctx, incr); return err },
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			d := &guard.Dialer{Options: herzredis.Options}
			c := client(t, s, func(o *redis.Options) {
				o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
					nc, err := d.DialContext(ctx, network, addr)
					if err != nil {
						return nil, err
					}
					return blind{nc}, nil
				}
			})
			fill(t, c, 4)
			s.hangUp()
			s.awaitDeaths(t)
			if err := run(c); err != nil {
				t.Errorf("a refusal surfaced: %v", err)
			}
			if n := s.counter.Load(); n != 1 {
				t.Errorf("counted %d, not 1", n)
			}
		})
	}
}

func incr(p redis.Pipeliner) error {
	p.Incr(context.Background(), "n")
	return nil
}

func TestLostAnswerIsAmbiguousAndNotRepeated(t *testing.T) {
	ctx := context.Background()
	for name, run := range map[string]func(c *redis.Client) error{
		"command":  func(c *redis.Client) error { return c.Incr(ctx, "n").Err() },
		"pipeline": func(c *redis.Client) error { _, err := c.Pipelined(ctx, incr); return err },
		"multi":    func(c *redis.Client) error { _, err := c.TxPipelined(ctx, incr); return err },
	} {
		for _, fault := range []string{"closed", "read time-out"} {
			t.Run(name+" "+fault, func(t *testing.T) {
				s := newServer(t)
				c := client(t, s, func(o *redis.Options) { o.ReadTimeout = 500 * time.Millisecond; o.MaxRetries = 5 })
				fill(t, c, 1)
				s.swallow.Store(fault == "closed")
				s.ignore.Store(fault != "closed")
				err := run(c)
				if !errors.Is(err, guard.ErrAmbiguous) || guard.SafeToRetry(err) {
					t.Errorf("the error is %v, not ErrAmbiguous", err)
				}
				if n := s.counter.Load(); n != 1 {
					t.Errorf("counted %d, not 1", n)
				}
				s.swallow.Store(false)
				s.ignore.Store(false)
				if n, err := c.Incr(ctx, "n").Result(); err != nil || n != 2 {
					t.Errorf("the next command got %d, %v: the connection did not leave the pool", n, err)
				}
				if n := s.accepted.Load(); n != 2 {
					t.Errorf("%d connections, not a second one for the one that was lost", n)
				}
			})
		}
	}
}

func TestContextEndsTheWaitForAnAnswer(t *testing.T) {
	s := newServer(t)
	c := client(t, s, nil)
	fill(t, c, 1)
	s.ignore.Store(true)
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	begun := time.Now()
	if err := c.Incr(ctx, "n").Err(); err == nil {
		t.Error("no error")
	}
	if took := time.Since(begun); took > time.Second {
		t.Errorf("it took %v", took)
	}
	if n := s.counter.Load(); n != 1 {
		t.Errorf("counted %d, not 1", n)
	}
}

func TestLivingConnectionPassesTheChecksOfGoRedis(t *testing.T) {
	s := newServer(t)
	c := client(t, s, nil)
	for range 50 {
		if err := c.Incr(context.Background(), "n").Err(); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.accepted.Load(); n != 1 {
		t.Errorf("%d connections for 50 commands: go-redis took a living one for dead", n)
	}
}

func TestUnreachableServerEndsWithinTheBudget(t *testing.T) {
	s := newServer(t)
	c := client(t, s, nil)
	_ = s.listener.Close()
	begun := time.Now()
	if err := c.Incr(context.Background(), "n").Err(); err == nil {
		t.Error("no error")
	}
	if took := time.Since(begun); took > guard.DefaultHeartbeatTimeout {
		t.Errorf("it took %v", took)
	}
}

func TestGuardKeepsWhatTheApplicationSet(t *testing.T) {
	var dials atomic.Int64
	o := &redis.Options{ReadTimeout: time.Minute, DialerRetries: 3, Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
		dials.Add(1)
		a, b := net.Pipe()
		_ = b.Close()
		return a, nil
	}}
	before := *o
	_ = herzredis.NewClient(o).Close()
	if o.MaxRetries != before.MaxRetries || o.DialTimeout != before.DialTimeout {
		t.Error("NewClient changed the options it was given")
	}
	herzredis.Guard(o)
	if o.ReadTimeout != time.Minute || o.DialerRetries != 3 || o.MaxRetries != -1 || !o.ContextTimeoutEnabled {
		t.Errorf("%+v", o)
	}
	nc, err := o.Dialer(context.Background(), "tcp", "nowhere")
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, ok := guard.From(nc); !ok || dials.Load() != 1 {
		t.Errorf("the application's dialer was called %d times, guarded %v", dials.Load(), ok)
	}
}
