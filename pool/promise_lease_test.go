package pool_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/pool"
)

func TestWhatExpiredIsNotLentThoughNobodyHasSweptItYet(t *testing.T) {
	for cause, limits := range map[conn.Cause]pool.Limits{
		conn.MaxLifetime: {MaxLifetime: time.Second, MaxLifetimeJitter: -1},
		conn.MaxIdle:     {MaxIdleTime: time.Second},
	} {
		t.Run(cause.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPool(t, &fakeServer{}, func(c *pool.Config[*fake]) {
					c.Limits = limits
					c.Ping = nil
				})
				l := acquire(t, p)
				old := l.Value()
				l.Release()
				pass(985 * time.Millisecond)
				if err := p.SetLimits(limits); err != nil { // the pool has just looked at all, and rests for 50 ms
					t.Fatal(err)
				}
				pass(35 * time.Millisecond)
				l = acquire(t, p)
				if l.Value() == old {
					t.Errorf("a connection whose time had been over for %v was lent", 20*time.Millisecond)
				}
				l.Release()
				if n := p.Stats().Closed[cause]; n != 1 {
					t.Errorf("it was closed by %v", p.Stats().Closed)
				}
			})
		})
	}
}

func TestWhatExpiredInItsUsersHandsIsNotLentInTheSameTick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, &fakeServer{}, func(c *pool.Config[*fake]) {
			c.Limits = pool.Limits{MaxLifetime: time.Second, MaxLifetimeJitter: -1}
		})
		l := acquire(t, p)
		old := l.Value()
		pass(1015 * time.Millisecond)
		l.Release()
		if l = acquire(t, p); l.Value() == old {
			t.Error("a connection past its lifetime was lent, because it had been returned a moment ago")
		}
		l.Release()
	})
}

func TestTimeOutOfTheUserIsTheCauseOfTheEnd(t *testing.T) {
	for err, want := range map[error]conn.Cause{
		os.ErrDeadlineExceeded:                         conn.Timeout,
		context.DeadlineExceeded:                       conn.Timeout,
		context.Canceled:                               conn.Timeout,
		&net.OpError{Op: "read", Err: io.EOF}:          conn.Error,
		&net.DNSError{IsTimeout: true}:                 conn.Timeout,
		errors.New("the answer was cut in the middle"): conn.Error,
	} {
		synctest.Test(t, func(t *testing.T) {
			p := newPool(t, &fakeServer{}, nil)
			acquire(t, p).Discard(err)
			if d := p.Deaths()[0]; d.Cause != want {
				t.Errorf("discarded for %v it died of %v, want %v", err, d.Cause, want)
			}
		})
	}
}

func TestEachLoanBeginsANewExchange(t *testing.T) {
	p, far := pipes(t, 1)
	l := l2(t, p)
	peer := <-far
	go func() {
		b := make([]byte, 16)
		for {
			if _, err := peer.Read(b); err != nil {
				return
			}
		}
	}()
	if _, err := l.Value().Write([]byte("INSERT")); err != nil {
		t.Fatal(err)
	}
	g := guardOf(t, l)
	if d := g.Delivery(); d != conn.MaybeSent {
		t.Fatalf("after a write the delivery is %v", d)
	}
	l.Release()
	again := l2(t, p)
	if guardOf(t, again) != g {
		t.Fatal("the connection was not reused")
	}
	if d := g.Delivery(); d != conn.NothingSent {
		t.Errorf("a new user, who sent nothing, is told %v: he may not retry for what his predecessor sent", d)
	}
}
