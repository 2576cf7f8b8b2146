//go:build linux

package signals_test

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"

	"herz.example/herz/ceiling"
	"herz.example/herz/faultlab/proxy"
	"herz.example/herz/faultlab/server"
	"herz.example/herz/guard"
	_ "herz.example/herz/herzmysql"
	"herz.example/herz/herzprom"
	"herz.example/herz/herzsql"
	"herz.example/herz/pool"
)

// plainPool lends things that are no sockets.
func plainPool(t *testing.T, name string, o pool.Observer, l pool.Limits) *pool.Pool[*int] {
	t.Helper()
	p, err := pool.New(pool.Config[*int]{
		Name: name, Observer: o, Limits: l, Dial: func(context.Context) (*int, error) { return new(int), nil },
		Close: func(context.Context, *int) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func lend(t *testing.T, p *pool.Pool[*int]) pool.Lease[*int] {
	t.Helper()
	l, err := p.Acquire(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// job pushes as a job does that ends at once.
func job(t *testing.T, g prometheus.Gatherer, gateway string) {
	t.Helper()
	ctx, end := context.WithCancel(context.Background())
	end()
	if err := herzprom.Push(ctx, g, herzprom.PushConfig{URL: gateway, Job: "report"}); err != nil {
		t.Fatal(err)
	}
}

// scene is one program with many pools, each of which will meet a fault of its own, but one.
type scene struct {
	t       *testing.T
	metrics *herzprom.Collector
	learner *ceiling.Learner
	server  *server.Server
	ctx     context.Context // of the scene itself
	end     func()
	wg      sync.WaitGroup

	well, mute, cut      *sql.DB
	muteProxy, cutProxy  *proxy.Proxy
	torn                 *pool.Pool[net.Conn]
	tornProxy            *proxy.Proxy
	refused              *pool.Pool[net.Conn]
	drifted              *pool.Pool[net.Conn]
	lost, held, line, wr *pool.Pool[*int]
	short                *pool.Pool[net.Conn]
	kept                 pool.Lease[*int] // of line, for ever
	broken               atomic.Uint64    // dead connections that were lent
	alsoTrue             map[string]bool  // what a fault brings with it
}

// fault is what befalls a pool, and the alerts that are for it.
type fault struct {
	run    func()
	alerts []string
}

func newScene(t *testing.T, metrics *herzprom.Collector, learner *ceiling.Learner) *scene {
	t.Helper()
	s := &scene{t: t, metrics: metrics, learner: learner, server: server.Start(t, server.MariaDB, server.Options{}), alsoTrue: map[string]bool{
		// Results that are cut lose their connections, and so does a lease that is lost; who dials in vain dials all the time.
		"HerzPeerClosesConnections cut": true, "HerzReconnectStorm cut": true, "HerzReconnectStorm lost": true, "HerzReconnectStorm refused": true,
		"HerzDialsFail mute": true, "HerzReconnectStorm mute": true, "HerzPeerClosesConnections short": true, "HerzReconnectStorm short": true,
	}}
	var cancel context.CancelFunc
	s.ctx, cancel = context.WithCancel(context.Background())
	s.end = func() { cancel(); s.wg.Wait() }
	s.well = s.database("well", s.server.Addr(), pool.Limits{MaxOpen: 4})
	s.muteProxy, s.cutProxy, s.tornProxy = s.proxy(), s.proxy(), s.proxy()
	s.mute = s.database("mute", s.muteProxy.Addr(), pool.Limits{MaxOpen: 2, HeartbeatEvery: 300 * time.Millisecond, HeartbeatTimeout: 2500 * time.Millisecond})
	s.cut = s.database("cut", s.cutProxy.Addr(), pool.Limits{MaxOpen: 2})
	s.torn = s.sockets("torn", s.tornProxy.Addr())
	s.refused = s.sockets("refused", "127.0.0.1:1")
	s.drifted = s.sockets("drifted", silent(t))
	s.lost = plainPool(t, "lost", metrics, pool.Limits{MaxOpen: 4, LeakAfter: time.Hour})
	s.held = plainPool(t, "held", metrics, pool.Limits{MaxOpen: 4, LeakAfter: 200 * time.Millisecond})
	s.line = plainPool(t, "line", metrics, pool.Limits{MaxOpen: 1})
	s.wr = plainPool(t, "misused", metrics, pool.Limits{})
	s.short = s.sockets("short", hasty(t, 700*time.Millisecond))
	t.Cleanup(metrics.Add(breaker{plainPool(t, "behind broken", nil, pool.Limits{}), &s.broken}))
	s.work(s.well)
	return s
}

func (s *scene) proxy() *proxy.Proxy {
	p, err := proxy.Listen(s.server.Addr())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = p.Close() })
	return p
}

func (s *scene) database(name, addr string, l pool.Limits) *sql.DB {
	db, err := herzsql.OpenPooled("mysql", "root@tcp("+addr+")/", herzsql.WithName(name), herzsql.WithLimits(l), herzsql.WithObserver(s.metrics))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = db.Close() })
	return db
}

func (s *scene) sockets(name, addr string) *pool.Pool[net.Conn] {
	d := &guard.Dialer{}
	p, err := pool.New(pool.Config[net.Conn]{
		Name: name, Observer: pool.Tee(s.metrics, s.learner), Limits: pool.Limits{MaxOpen: 4},
		Dial: func(ctx context.Context) (net.Conn, error) { return d.DialContext(ctx, "tcp", addr) },
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = p.Close() })
	return p
}

// every does something until the scene ends.
func (s *scene) every(pause time.Duration, do func(ctx context.Context)) {
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		tick := time.NewTicker(pause)
		defer tick.Stop()
		for {
			do(s.ctx)
			select {
			case <-tick.C:
			case <-s.ctx.Done():
				return
			}
		}
	}()
}

// work asks a database as a program does that is well.
func (s *scene) work(db *sql.DB) {
	s.every(20*time.Millisecond, func(ctx context.Context) {
		var n int
		if err := db.QueryRowContext(ctx, "SELECT 1").Scan(&n); err != nil && ctx.Err() == nil && !errors.Is(err, context.Canceled) {
			s.t.Errorf("the pool that is well: %v", err)
		}
	})
}

func (s *scene) faults() map[string]fault {
	return map[string]fault{
		"mute":    {s.fallMute, []string{"HerzBlackHole"}},
		"cut":     {s.cutResults, []string{"HerzResultCutUnseen"}},
		"torn":    {s.tear, []string{"HerzPeerClosesConnections", "HerzReconnectStorm"}},
		"refused": {s.dialInVain, []string{"HerzDialsFail"}},
		"lost":    {s.lose, []string{"HerzLeaseLost"}},
		"held":    {s.hold, []string{"HerzLeaseLongHeld"}},
		"line":    {s.standInLine, []string{"HerzOldestWaiter", "HerzWaitTimeouts"}},
		"drifted": {s.drift, []string{"HerzKernelDrift"}},
		"misused": {s.misuse, []string{"HerzLeaseMisused"}},
		"short":   {s.rest, []string{"HerzIdleLimitAboveCeiling"}},
		"broken":  {s.lendDead, []string{"HerzDeadConnectionLent"}},
	}
}

// fallMute lets a server say nothing more to a pool whose connections rest.
func (s *scene) fallMute() {
	_ = s.mute.PingContext(s.ctx)
	s.muteProxy.Pause()
	s.t.Cleanup(s.muteProxy.Resume)
}

// cutResults reads results that are cut short, and does not look at the error.
func (s *scene) cutResults() {
	s.every(200*time.Millisecond, func(ctx context.Context) {
		const query = "SELECT seq FROM mysql.help_keyword JOIN (SELECT 1 AS seq) one"
		if _, err := s.cutProxy.Set(proxy.Trap{Marker: "help_keyword", Keep: 300}); err != nil {
			s.t.Error(err)
		}
		rows, err := s.cut.QueryContext(ctx, query)
		if err != nil {
			return
		}
		for rows.Next() {
		}
		_ = rows.Close()
		runtime.GC()
	})
}

// tear closes what a pool has, from the other side, again and again.
func (s *scene) tear() {
	s.every(30*time.Millisecond, func(ctx context.Context) {
		l, err := s.torn.Acquire(ctx)
		if err != nil {
			return
		}
		l.Release()
		s.tornProxy.CutAll(proxy.FIN)
	})
}

func (s *scene) dialInVain() {
	s.every(200*time.Millisecond, func(ctx context.Context) {
		if l, err := s.refused.Acquire(ctx); err == nil {
			l.Release()
			s.t.Error("somebody listens on port 1")
		}
	})
}

// lose forgets leases.
func (s *scene) lose() {
	s.every(500*time.Millisecond, func(ctx context.Context) {
		if _, err := s.lost.Acquire(ctx); err != nil && ctx.Err() == nil {
			s.t.Error(err)
		}
		runtime.GC()
	})
}

func (s *scene) hold() {
	s.every(500*time.Millisecond, func(ctx context.Context) {
		l, err := s.held.Acquire(ctx)
		if err != nil {
			return
		}
		wait, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		<-wait.Done()
		l.Release()
	})
}

// standInLine waits for a lease that is held for ever, and for another one for a moment only.
func (s *scene) standInLine() {
	l, err := s.line.Acquire(s.ctx)
	if err != nil {
		s.t.Error(err)
		return
	}
	s.every(time.Second, func(ctx context.Context) {
		if _, err := s.line.Acquire(ctx); err == nil {
			s.t.Error("a pool of one lent two")
		}
	})
	s.kept = l
	s.every(300*time.Millisecond, func(ctx context.Context) {
		late, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
		if other, err := s.line.Acquire(late); err == nil {
			other.Release()
		}
	})
}

// rest uses all connections again and again, and lets them rest for longer than their server has patience.
func (s *scene) rest() {
	s.every(1500*time.Millisecond, func(ctx context.Context) {
		var all []pool.Lease[net.Conn]
		for range 4 {
			l, err := s.short.Acquire(ctx)
			if err != nil {
				break
			}
			all = append(all, l)
		}
		for _, l := range all {
			if err := ask(l.Value()); err != nil {
				l.Discard(err)
				continue
			}
			time.Sleep(80 * time.Millisecond) // longer than what counts as one moment
			l.Release()
		}
	})
}

// ask sends a byte and waits for its answer.
func ask(nc net.Conn) error {
	if _, err := nc.Write([]byte("x")); err != nil {
		return err
	}
	_, err := io.ReadFull(nc, make([]byte, 1))
	return err
}

// lendDead shows a pool that breaks Herz's promise, which no pool of Herz can be made to do.
func (s *scene) lendDead() {
	s.broken.Add(1)
	s.every(time.Second, func(context.Context) { s.broken.Add(1) })
}

// breaker is a source that lends dead connections.
type breaker struct {
	*pool.Pool[*int]

	lent *atomic.Uint64
}

func (breaker) Name() string { return "broken" }

func (b breaker) Stats() pool.Stats {
	st := b.Pool.Stats()
	st.DeadLent = b.lent.Load()
	return st
}

// hasty is the address of a server that answers each byte with itself, and closes what was silent for so long.
func hasty(t *testing.T, patience time.Duration) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				for b := make([]byte, 64); ; {
					_ = c.SetReadDeadline(time.Now().Add(patience)) // a socket has deadlines
					n, err := c.Read(b)
					if err != nil {
						return
					}
					if _, err := c.Write(b[:n]); err != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
	return l.Addr().String()
}

func (s *scene) misuse() {
	s.every(300*time.Millisecond, func(ctx context.Context) {
		if l, err := s.wr.Acquire(ctx); err == nil {
			l.Release()
			l.Release()
		}
	})
}

// silent is the address of a server that accepts and does nothing more.
func silent(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // the kernel accepts
	return l.Addr().String()
}

// drift closes the sending side of a lent connection behind the guard's back.
func (s *scene) drift() {
	l, err := s.drifted.Acquire(s.ctx)
	if err != nil {
		s.t.Error(err)
		return
	}
	s.t.Cleanup(func() { l.Discard(nil) })
	g, _ := guard.From(l.Value())
	raw, err := g.Inner().(*net.TCPConn).SyscallConn()
	if err != nil {
		s.t.Error(err)
		return
	}
	var shut error
	if err := raw.Control(func(fd uintptr) { shut = unix.Shutdown(int(fd), unix.SHUT_WR) }); err != nil || shut != nil {
		s.t.Error(err, shut)
	}
}
