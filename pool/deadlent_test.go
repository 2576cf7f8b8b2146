package pool

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"herz.example/herz/guard"
)

// The pool never lends what it knows to be dead, so the test moves the time of the loan instead.
func TestConnectionThatWasDeadWhenItWasLentIsCounted(t *testing.T) {
	for name, after := range map[string]bool{"died before its loan": true, "died in its user's hands": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { lendDead(t, after) })
		})
	}
}

// Its user need not notice: an answer can come whole before the connection ends.
func TestConnectionThatDiedWhileItWasLentIsNoneThatWasLentDead(t *testing.T) {
	for way, end := range map[string]func(Lease[*guard.Conn]){
		"released": Lease[*guard.Conn].Release, "discarded": func(l Lease[*guard.Conn]) { l.Discard(nil) },
	} {
		for kind, set := range map[string]func(*Config[*guard.Conn]){
			"plain": func(*Config[*guard.Conn]) {}, "observed": func(c *Config[*guard.Conn]) { c.Observer = nobody{} },
			"with a reset": func(c *Config[*guard.Conn]) { c.Reset = func(context.Context, *guard.Conn) error { return nil } },
			"made slowly": func(c *Config[*guard.Conn]) {
				dial := c.Dial
				c.Dial = func(ctx context.Context) (*guard.Conn, error) {
					time.Sleep(2 * time.Second) // so long the socket is younger than the attempt to make it
					return dial(ctx)
				}
			},
			"shared": func(c *Config[*guard.Conn]) { c.Shares = func(*guard.Conn) int { return 2 } },
		} {
			t.Run(way+", "+kind, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { returnDead(t, set, end) })
			})
		}
	}
}

type nobody struct{}

func (nobody) Observe(Event) {}

func returnDead(t *testing.T, set func(*Config[*guard.Conn]), end func(Lease[*guard.Conn])) {
	near, far := net.Pipe()
	cfg := Config[*guard.Conn]{
		Dial: func(context.Context) (*guard.Conn, error) { return guard.Wrap(near, guard.Options{}), nil }, Guard: func(c *guard.Conn) *guard.Conn { return c },
		Limits: Limits{MaxOpen: 1},
	}
	set(&cfg)
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	leases := make([]Lease[*guard.Conn], 1)
	if cfg.Shares != nil {
		leases = make([]Lease[*guard.Conn], 2)
	}
	for i := range leases {
		if leases[i], err = p.Acquire(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	_ = far.Close()
	if _, err = leases[0].Value().Read(make([]byte, 1)); err == nil {
		t.Fatal("the peer has left and nothing says so")
	}
	for _, l := range leases {
		time.Sleep(time.Second)
		end(l)
	}
	synctest.Wait()
	if st := p.Stats(); st.DeadLent != 0 || st.Leases != 0 {
		t.Errorf("%d connections were lent dead; %d leases are out", st.DeadLent, st.Leases)
	}
}

func lendDead(t *testing.T, after bool) {
	near, far := net.Pipe()
	p, err := New(Config[*guard.Conn]{
		Dial: func(context.Context) (*guard.Conn, error) { return guard.Wrap(near, guard.Options{}), nil }, Guard: func(c *guard.Conn) *guard.Conn { return c },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	l, err := p.Acquire(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	_ = far.Close()
	if _, err = l.Value().Read(make([]byte, 1)); err == nil {
		t.Fatal("the peer has left and nothing says so")
	}
	if after {
		time.Sleep(time.Millisecond) // the socket is older than the connection by as much as the dial took
		l.e.stamp.Store(p.exact())
	}
	l.Discard(nil)
	if n := p.Stats().DeadLent; (n == 1) != after {
		t.Errorf("%d connections were lent dead", n)
	}
}
