package herzsql_test

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"testing"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
	"herz.example/herz/herzsql"
	"herz.example/herz/pool"
)

// board is what the package board asks of a source.
type board interface {
	Name() string
	Stats() pool.Stats
	Snapshot() []pool.ConnInfo
	Deaths() []conn.Death
	Limits() pool.Limits
}

var _ board = (*herzsql.View)(nil)

func sum(s pool.Stats) int { return s.Idle + s.Checking + s.InUse + s.Stale + s.Closing }

func TestNumbersAreTrueInBothModes(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		s := newServer(t)
		db := m.db(t, s, pool.Limits{MaxOpen: 4})
		fill(t, db, 3)
		held, err := db.Conn(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		v := herzsql.Source(db)
		got := v.Stats()
		if got.Open != 3 || got.Idle != 2 || got.InUse != 1 || got.Leases != 1 || sum(got) != got.Open || got.Dialing != 0 {
			t.Errorf("three connections, one of them lent, are counted as %+v", got)
		}
		if v.Name() != "orders" || got.Name != "orders" {
			t.Errorf("named %q and %q", v.Name(), got.Name)
		}
		infos := v.Snapshot()
		if len(infos) != 3 {
			t.Fatalf("the snapshot has %d connections", len(infos))
		}
		for _, i := range infos {
			if i.Peer != s.listener.Addr().String() || i.ID == 0 {
				t.Errorf("connection %d to %q", i.ID, i.Peer)
			}
		}
		s.hangUp()
		s.awaitDeaths(t)
		eventually(t, "no dead connection is counted as idle or in use", func() bool {
			got = v.Stats()
			return got.Idle == 0 && sum(got) == got.Open && (m.name == "pooled" || got.InUse == 0)
		})
		if err := held.PingContext(context.Background()); err == nil {
			t.Error("a dead connection answered a ping")
		}
		_ = held.Close()
		eventually(t, "all deaths are counted and kept", func() bool {
			return v.Stats().Closed[conn.PeerFIN] == 3 && len(v.Deaths()) == 3
		})
	})
}

func TestPlannedCloseHasItsCause(t *testing.T) {
	for name, c := range map[string]struct {
		limits pool.Limits
		cause  conn.Cause
		act    func(db *sql.DB)
	}{
		"lifetime": {pool.Limits{MaxLifetime: 30 * time.Millisecond, MaxLifetimeJitter: -1}, conn.MaxLifetime, func(*sql.DB) { time.Sleep(40 * time.Millisecond) }},
		"uses":     {pool.Limits{MaxUses: 2}, conn.MaxUses, func(*sql.DB) {}},
		"condemned": {pool.Limits{}, conn.Evicted, func(db *sql.DB) {
			for _, g := range guard.Live() {
				g.Condemn(conn.Evicted)
			}
		}},
		"closed": {pool.Limits{}, conn.Drained, func(db *sql.DB) { _ = db.Close() }},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			db := modes[0].db(t, s, c.limits)
			v := herzsql.Source(db)
			fill(t, db, 1)
			c.act(db)
			_ = db.Ping()
			_ = db.Ping()
			eventually(t, "the cause is counted", func() bool { return v.Stats().Closed[c.cause] == 1 })
			if d := v.Deaths(); len(d) == 0 || d[len(d)-1].Cause != c.cause {
				t.Errorf("deaths: %v", d)
			}
		})
	}
}

func TestLimitsChangeWhileOpen(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		s := newServer(t)
		db := m.db(t, s, pool.Limits{MaxOpen: 2})
		if err := herzsql.SetLimits(db, pool.Limits{MaxOpen: 5}); err != nil {
			t.Fatal(err)
		}
		fill(t, db, 5)
		if got := herzsql.Stats(db).Idle; got != 5 {
			t.Errorf("%d idle connections after MaxOpen rose to 5", got)
		}
		if err := herzsql.SetLimits(db, pool.Limits{MaxOpen: 2}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "connections beyond the lower limit are closed", func() bool { return herzsql.Stats(db).Open == 2 })
		if err := herzsql.SetLimits(db, pool.Limits{MaxOpen: -1}); err == nil {
			t.Error("MaxOpen -1 was taken")
		}
		if got := herzsql.Source(db).Limits().MaxOpen; got != 2 {
			t.Errorf("a refused change left MaxOpen at %d", got)
		}
	})
}

func TestLimitWithoutEffectIsRefused(t *testing.T) {
	for field, l := range map[string]pool.Limits{
		"MinIdle": {MinIdle: 1}, "KeepWarm": {KeepWarm: 1}, "KeepWarmElastic": {KeepWarmElastic: .5}, "MaxWaiters": {MaxWaiters: 1},
		"MaxDialing": {MaxDialing: 1}, "MaxClosing": {MaxClosing: 1}, "AcquireTimeout": {AcquireTimeout: 1},
		"HeartbeatEvery": {HeartbeatEvery: 1}, "LeakAfter": {LeakAfter: 1},
	} {
		_, err := herzsql.Open("fake", "127.0.0.1:1", herzsql.WithLimits(l))
		if err == nil || !strings.Contains(err.Error(), field) || !strings.Contains(err.Error(), "OpenPooled") {
			t.Errorf("%s in guarded mode: %v", field, err)
		}
	}
	if _, err := herzsql.OpenPooled("fake", "127.0.0.1:1", herzsql.WithMaxIdle(1)); err == nil {
		t.Error("WithMaxIdle was taken in pooled mode")
	}
	for _, l := range []pool.Limits{{HeartbeatTimeout: -1}, {MaxOpen: -1}, {MaxUses: -1}, {MaxLifetime: time.Second, MaxLifetimeJitter: time.Minute}} {
		for _, m := range modes {
			if db, err := m.open("fake", "127.0.0.1:1", herzsql.WithLimits(l)); err == nil {
				t.Errorf("%s took %+v", m.name, l)
				_ = db.Close()
			}
		}
	}
}

func TestMissingImportIsNamed(t *testing.T) {
	for name, want := range map[string]string{
		"mysql": `import _ "herz.example/herz/herzmysql"`, "pgx": `import _ "herz.example/herz/herzpgx"`,
		"nothing": "unknown driver", "fake": "no address",
	} {
		if _, err := herzsql.Open(name, ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v does not say %s", name, err, want)
		}
	}
	if _, err := herzsql.OpenConnector(nil); err == nil {
		t.Error("a nil connector was taken")
	}
}

func TestForeignDatabaseIsShownAsDatabaseSQLCountsIt(t *testing.T) {
	s := newServer(t)
	db := sql.OpenDB(newConnector(s.listener.Addr().String(), &guard.Dialer{}))
	defer db.Close()
	fill(t, db, 2)
	v := herzsql.Source(db)
	if got := v.Stats(); got.Open != 2 || got.Idle != 2 {
		t.Errorf("%+v", got)
	}
	if v.Snapshot() != nil || v.Deaths() != nil || v.Name() != "" || v.SetLimits(pool.Limits{}) == nil {
		t.Error("a foreign database has more than numbers")
	}
}

func TestClosedDatabaseIsForgotten(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		s := newServer(t)
		db := m.db(t, s, pool.Limits{})
		fill(t, db, 2)
		v := herzsql.Source(db)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if herzsql.Source(db) == v {
			t.Error("the closed database is still known")
		}
		eventually(t, "the view of a closed database is empty", func() bool { return v.Stats().Open == 0 })
		eventually(t, "the server sees its connections closed", func() bool { return s.open() == 0 })
	})
}

// watcher notes the kinds of events.
type watcher chan pool.Event

func (w watcher) Observe(e pool.Event) { w <- e }

func TestEventsTellTheLifeOfAConnection(t *testing.T) {
	s := newServer(t)
	seen := make(watcher, 64)
	db, err := herzsql.Open("fake", s.listener.Addr().String(), herzsql.WithObserver(seen), herzsql.WithLimits(pool.Limits{TestOnBorrow: true}))
	if err != nil {
		t.Fatal(err)
	}
	fill(t, db, 1)
	_ = db.Ping()
	if err := herzsql.SetLimits(db, pool.Limits{MaxOpen: 3}); err != nil {
		t.Fatal(err)
	}
	_ = db.Close()
	want := []pool.EventKind{
		pool.PoolCreated, pool.ConnectionCreated, pool.ConnectionReady, pool.Heartbeat, pool.LimitsChanged, pool.ConnectionClosed, pool.PoolClosed,
	}
	var got []pool.EventKind
	for range want {
		e := <-seen
		if e.Pool != "fake" || e.At.IsZero() {
			t.Errorf("event without pool or time: %+v", e)
		}
		got = append(got, e.Kind)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("events %v, not %v", got, want)
	}
}
