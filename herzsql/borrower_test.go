package herzsql_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"testing"
	"time"

	"herz.example/herz/guard"
	"herz.example/herz/herzsql"
	"herz.example/herz/pool"
)

// hooked is a connector whose driver runs Herz's check in a hook of its own, as pgx does.
type hooked struct {
	*connector
	hooks herzsql.Hooks
}

func (h hooked) WithHooks(hooks herzsql.Hooks) driver.Connector {
	h.hooks = hooks
	return h
}

func (h hooked) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := h.connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &own{c.(*full), h.hooks}, nil
}

// own is the driver's own connection type, which applications reach by Raw.
type own struct {
	*full
	hooks herzsql.Hooks
}

func (o *own) ResetSession(ctx context.Context) error {
	if o.closed {
		return driver.ErrBadConn
	}
	if o.hooks.Check == nil {
		return nil
	}
	return o.hooks.Check(ctx, o.nc, herzsql.Probe{Ping: o.Ping, Conn: o})
}

func TestDriverWithAHookKeepsItsOwnConnections(t *testing.T) {
	s := newServer(t)
	db, err := herzsql.OpenConnector(hooked{connector: newConnector(s.listener.Addr().String(), &guard.Dialer{Options: guard.SQL})},
		herzsql.WithLimits(pool.Limits{MaxOpen: 3, PingAfter: 20 * time.Millisecond, HeartbeatTimeout: 1600 * time.Millisecond}))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	fill(t, db, 3)
	c, err := db.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Raw(func(driverConn any) error {
		if !is[*own](driverConn) || herzsql.Unwrap(driverConn) != driverConn {
			t.Errorf("Raw gives a %T", driverConn)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if got := herzsql.Stats(db); got.Open != 3 || got.InUse != 1 || got.Idle != 2 || got.Name != pool.DefaultPool {
		t.Errorf("%+v", got)
	}
	_ = c.Close()

	s.hangUp()
	s.awaitDeaths(t)
	if _, err := db.Exec("add one"); err != nil {
		t.Errorf("a dead connection surfaced: %v", err)
	}
	eventually(t, "the dead have left", func() bool { got := herzsql.Stats(db); return got.Open == 1 && len(herzsql.Source(db).Deaths()) == 3 })

	fill(t, db, 3)
	s.fallSilent()
	time.Sleep(40 * time.Millisecond) // longer than PingAfter
	within(t, 1600*time.Millisecond, "a statement over three silent connections", func() {
		if _, err := db.Exec("add one"); err != nil {
			t.Errorf("a silent idle connection surfaced: %v", err)
		}
	})

	s.swallow.Store(true)
	if _, err := db.Exec("add one"); errors.Is(err, driver.ErrBadConn) || err == nil {
		t.Errorf("the lost answer ended as %v", err)
	}
	if n := s.executed.Load(); n != 3 {
		t.Errorf("executed %d times, not 3", n)
	}
}
