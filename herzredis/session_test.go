package herzredis_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
	"herz.example/herz/herzredis"
	"herz.example/herz/herztest"
)

// silence is longer than the time after which a connection is pinged before it is used.
const silence = 1100 * time.Millisecond

func secure(t *testing.T, s *server) func(o *redis.Options) {
	t.Helper()
	web := httptest.NewTLSServer(nil)
	web.Close()
	s.tls.Store(&tls.Config{Certificates: web.TLS.Certificates})
	return func(o *redis.Options) { o.TLSConfig = &tls.Config{InsecureSkipVerify: true} } //nolint:gosec // a test's own server
}

func TestSilentConnectionIsFoundByThePingWithinTheBudget(t *testing.T) {
	t.Parallel()
	for name, over := range map[string]func(*testing.T, *server) func(*redis.Options){
		"plain": func(*testing.T, *server) func(*redis.Options) { return nil }, "TLS": secure,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			c := client(t, s, over(t, s))
			fill(t, c, 4)
			s.fallSilent()
			time.Sleep(silence)
			begun := time.Now()
			if err := c.Incr(context.Background(), "n").Err(); err != nil {
				t.Errorf("a silent idle connection surfaced: %v", err)
			}
			if took := time.Since(begun); took > 2500*time.Millisecond {
				t.Errorf("four silent connections took %v: they were pinged one after the other", took)
			}
			if n := s.counter.Load(); n != 1 {
				t.Errorf("counted %d, not 1", n)
			}
		})
	}
}

// A frozen process still has a kernel that takes new connections. Ping, dial and greeting share one budget all the same.
func TestFrozenServerHoldsACommandNoLongerThanTheBudget(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	c := client(t, s, nil)
	fill(t, c, 4)
	s.silent.Store(1 << 30)
	time.Sleep(silence)
	begun := time.Now()
	if err := c.Incr(context.Background(), "n").Err(); err == nil {
		t.Error("a frozen server answered")
	}
	if took := time.Since(begun); took > guard.DefaultHeartbeatTimeout {
		t.Errorf("it took %v", took)
	}
}

func TestNameThatMovesIsFollowedWithinTwoSeconds(t *testing.T) {
	t.Parallel()
	before := newServer(t)
	_, port, err := net.SplitHostPort(before.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	after := newServerAt(t, "127.0.0.2:"+port)
	ns := herztest.NewNameServer(t)
	ns.Set("cache.test", "127.0.0.1")
	o := herzredis.Options
	o.Resolver = ns.Resolver()
	c := herzredis.NewClient(&redis.Options{Addr: "cache.test:" + port, PoolSize: 4}, o)
	t.Cleanup(func() { _ = c.Close() })
	fill(t, c, 4)
	use := func(limit time.Duration, arrived func() bool) bool {
		for begun := time.Now(); time.Since(begun) < limit; time.Sleep(time.Millisecond) {
			if err := c.Incr(context.Background(), "n").Err(); err != nil {
				t.Fatal(err)
			}
			if arrived() {
				return true
			}
		}
		return false
	}
	if !use(10*time.Second, func() bool { return ns.Asked("cache.test") > 3 }) || after.accepted.Load() != 0 {
		t.Fatalf("before the move: the name was asked for %d times, %d connections to the other server", ns.Asked("cache.test"), after.accepted.Load())
	}
	ns.Set("cache.test", "127.0.0.2")
	if !use(2*time.Second, func() bool { return after.counter.Load() >= 10 }) {
		t.Error("after 2 s commands still go to the server that the name has left")
	}
}

func TestLivingConnectionIsPingedOnceAfterSilenceAndKept(t *testing.T) {
	t.Parallel()
	for name, over := range map[string]func(*testing.T, *server) func(*redis.Options){
		"plain": func(*testing.T, *server) func(*redis.Options) { return nil }, "TLS": secure,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			c := client(t, s, over(t, s))
			for range 2 {
				for i := range 3 {
					if i == 2 {
						time.Sleep(silence)
					}
					ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
					if err := c.Incr(ctx, "n").Err(); err != nil {
						t.Fatal(err)
					}
					cancel()
				}
			}
			if n, p := s.accepted.Load(), s.pings.Load(); n != 1 || p != 2 {
				t.Errorf("%d connections, %d pings; not 1 and 2", n, p)
			}
		})
	}
}

// pair is a guarded session and the server's end of it, without go-redis.
func pair(t *testing.T, s *server) net.Conn {
	t.Helper()
	o := &redis.Options{}
	herzredis.Guard(o)
	nc, err := o.Dialer(context.Background(), "tcp", s.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	return nc
}

func TestPushBeforeThePongIsKeptForItsReader(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.push.Store(true)
	nc := pair(t, s)
	time.Sleep(silence)
	if _, err := nc.Write([]byte("*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n")); err != nil {
		t.Fatal(err)
	}
	want := ">2\r\n+invalidate\r\n*1\r\n$6\r\n+PONG\r\r\n:1\r\n"
	got := ""
	b := make([]byte, 64)
	for len(got) < len(want) {
		n, err := nc.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		got += string(b[:n])
	}
	if got != want {
		t.Errorf("read %q, not %q", got, want)
	}
}

func TestRefusalBySilenceProvesThatNothingWasSent(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	nc := pair(t, s)
	if _, err := nc.Write([]byte("*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := nc.Read(make([]byte, 16)); err != nil {
		t.Fatal(err)
	}
	s.fallSilent()
	time.Sleep(silence)
	_ = nc.SetWriteDeadline(time.Now().Add(time.Second))
	begun := time.Now()
	n, err := nc.Write([]byte("*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n"))
	var dead *guard.DeadError
	if n != 0 || !errors.As(err, &dead) || dead.Cause != conn.Heartbeat || !guard.SafeToRetry(err) {
		t.Errorf("%d, %v: not a refusal", n, err)
	}
	if took := time.Since(begun); took > 900*time.Millisecond {
		t.Errorf("the ping took %v of the caller's second", took)
	}
}

func TestPubSubIsNeverPinged(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	nc := pair(t, s)
	read := make(chan error, 1)
	go func() {
		_, err := nc.Read(make([]byte, 1))
		read <- err
	}()
	time.Sleep(silence)
	if _, err := nc.Write([]byte("*1\r\n$4\r\nINCR\r\n")); err != nil {
		t.Fatal(err)
	}
	if err := <-read; err != nil {
		t.Error(err)
	}
	if n := s.pings.Load(); n != 0 {
		t.Errorf("%d pings on a connection that somebody reads", n)
	}
}
