package herzconfig_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"herz.example/herz/guard"
	"herz.example/herz/herzconfig"
	"herz.example/herz/herzsql"
	"herz.example/herz/pool"
)

// article is the block as the article prints it: its keys stand beside an empty pool:.
const article = `    pool:
    validationQuery: "SELECT 1"        # 启用每次借用前执行校验
    testOnBorrow: true                 # 关键:必须设为 true(默认 false)
    timeBetweenEvictionRunsMillis: 5000 # 缩短驱逐周期
`

// forms are the two ways to write the same keys.
var forms = map[string]func(keys ...string) string{
	"nested":     func(keys ...string) string { return "pool:\n  " + strings.Join(keys, "\n  ") + "\n" },
	"as printed": func(keys ...string) string { return "pool:\n" + strings.Join(keys, "\n") + "\n" },
}

// inBothForms runs a test with the keys in each form, in virtual time, on a database that is open.
func inBothForms(t *testing.T, keys []string, test func(t *testing.T, b *backend, db *sql.DB)) {
	for name, form := range forms {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, dsn := newBackend(t)
				db := open(t, form(append([]string{"driver: memory", "dsn: " + dsn}, keys...)...), herzconfig.Config{})
				test(t, b, db)
			})
		})
	}
}

// open opens the one database of a text; its name is DefaultPool unless one is given.
func open(t *testing.T, text string, c herzconfig.Config, name ...string) *sql.DB {
	t.Helper()
	c.Static = true
	db, err := openAll(t, text, c).DB(strings.Join(name, ""))
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func openAll(t *testing.T, text string, c herzconfig.Config) *herzconfig.Databases {
	t.Helper()
	if c.Path == "" {
		c.Path = filepath.Join(t.TempDir(), "herz-config.yaml")
	}
	if err := os.WriteFile(c.Path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c.Drivers = memory
	if c.Logger == nil {
		c.Logger = logger(new(journal))
	}
	dbs, err := herzconfig.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := dbs.Close(); err != nil {
			t.Error(err)
		}
	})
	return dbs
}

// use has a connection lent n times, one after the other.
func use(t *testing.T, db *sql.DB, n int) {
	t.Helper()
	for range n {
		if _, err := db.ExecContext(context.Background(), "work"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTestOnBorrowPingsBeforeEveryLoan(t *testing.T) {
	inBothForms(t, []string{"testOnBorrow: true", "maxOpen: 1"}, func(t *testing.T, b *backend, db *sql.DB) {
		use(t, db, 10)
		if n := b.pings.Load(); n != 9 && n != 10 { // a connection that was just made may be lent without
			t.Errorf("%d pings before 10 loans of one connection", n)
		}
	})
	inBothForms(t, []string{"testOnBorrow: false"}, func(t *testing.T, b *backend, db *sql.DB) {
		use(t, db, 10)
		if n := b.pings.Load(); n != 0 {
			t.Errorf("%d pings without testOnBorrow", n)
		}
	})
}

func TestValidationQueryIsWhatThePingRuns(t *testing.T) {
	inBothForms(t, []string{`validationQuery: "SELECT 1"`, "testOnBorrow: true", "maxOpen: 1"}, func(t *testing.T, b *backend, db *sql.DB) {
		use(t, db, 10)
		if n, q := b.pings.Load(), b.asked(); n != 0 || len(q) != 10 && len(q) != 11 || slices.ContainsFunc(q, func(q string) bool { return q != "SELECT 1" }) {
			t.Errorf("10 loans of one connection made %d pings of the driver and the queries %q", n, q)
		}
	})
}

func TestTimeBetweenEvictionRunsMillisIsHowOftenAnIdleConnectionIsLookedAt(t *testing.T) {
	for keys, want := range map[string][2]int64{ // least and most in a minute
		"timeBetweenEvictionRunsMillis: 5000":  {11, 12},
		"timeBetweenEvictionRunsMillis: 20000": {2, 3},
		"timeBetweenEvictionRunsMillis: 0":     {0, 0},
		"timeBetweenEvictionRunsMillis: -1":    {0, 0},
	} {
		t.Run(keys, func(t *testing.T) {
			inBothForms(t, []string{keys, "minIdle: 1"}, func(t *testing.T, b *backend, db *sql.DB) {
				time.Sleep(time.Minute)
				if n := b.pings.Load(); n < want[0] || n > want[1] {
					t.Errorf("an idle connection was looked at %d times in a minute, want %d to %d", n, want[0], want[1])
				}
			})
		})
	}
}

func TestRunsThatFindAConnectionDeadCloseIt(t *testing.T) {
	inBothForms(t, []string{"timeBetweenEvictionRunsMillis: 5000", "heartbeatTimeoutMs: 1000", "minIdle: 1"}, func(t *testing.T, b *backend, db *sql.DB) {
		time.Sleep(time.Second)
		b.mute.Store(true)
		time.Sleep(6 * time.Second)
		if s := herzsql.Stats(db); s.HeartbeatErrs == 0 || s.Idle+s.Checking > 1 {
			t.Errorf("a connection that does not answer is still there: %+v", s)
		}
		if n := b.dials.Load(); n < 2 {
			t.Errorf("%d dials: it was not replaced", n)
		}
	})
}

func TestHeartbeatTimeoutMsBoundsDialAndPing(t *testing.T) {
	inBothForms(t, []string{"heartbeatTimeoutMs: 800"}, func(t *testing.T, b *backend, db *sql.DB) {
		b.deaf.Store(true)
		begun := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := db.PingContext(ctx); err == nil {
			t.Fatal("a dial that hangs succeeded")
		}
		if took := time.Since(begun); took > 800*time.Millisecond {
			t.Errorf("the dial took %v", took)
		}
	})
	inBothForms(t, []string{"heartbeatTimeoutMs: 800", "minIdle: 1", "heartbeatEvery: 10s"}, func(t *testing.T, b *backend, db *sql.DB) {
		time.Sleep(5 * time.Second)
		b.mute.Store(true)
		time.Sleep(6 * time.Second) // the heartbeat is 10 s after the dial, and takes no more than 0.8 s
		if s := herzsql.Stats(db); s.HeartbeatErrs != 1 {
			t.Errorf("%d heartbeats had failed 0.8 s after a peer had fallen silent, want 1", s.HeartbeatErrs)
		}
	})
}

func TestHeartbeatTimeoutMsIsTheGuardsBoundToo(t *testing.T) {
	for mode, want := range map[string]time.Duration{"pooled": 4 * time.Second, "guarded": 4 * time.Second} {
		t.Run(mode, func(t *testing.T) {
			b, dsn := newBackend(t)
			db := open(t, forms["nested"]("driver: memory", "dsn: "+dsn, "mode: "+mode, "heartbeatTimeoutMs: 4000"), herzconfig.Config{})
			if got := b.guard.Load().HeartbeatTimeout; got != want {
				t.Errorf("the guard's HeartbeatTimeout is %v", got)
			}
			if got := herzsql.Source(db).Limits().HeartbeatTimeout; got != want {
				t.Errorf("that of the limits is %v", got)
			}
		})
	}
	b, dsn := newBackend(t)
	open(t, forms["nested"]("driver: memory", "dsn: "+dsn, "heartbeatTimeoutMs: 800"), herzconfig.Config{})
	if got := b.guard.Load().HeartbeatTimeout; got != guard.MinHeartbeatTimeout {
		t.Errorf("below the least that the guard can do its HeartbeatTimeout is %v", got)
	}
}

func TestTheArticlesOwnBlockWorksAsItIsPrinted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := newBackend(t)
		var log strings.Builder
		db := open(t, article, herzconfig.Config{
			Logger: logger(&log),
			Connector: func(p herzconfig.Pool) (driver.Connector, error) {
				return b.connector(p.Guard), nil
			},
		})
		for range 3 {
			use(t, db, 1)
			time.Sleep(20 * time.Millisecond) // a connection that somebody uses gets no heartbeat
		}
		if n := len(b.asked()); n != 3 || b.pings.Load() != 0 {
			t.Errorf("3 loans ran the query %d times and the driver's ping %d times", n, b.pings.Load())
		}
		time.Sleep(time.Minute)
		if n := len(b.asked()) - 3; n < 11 || n > 12 {
			t.Errorf("%d runs in a minute, want one every 5 s", n)
		}
		if got := herzsql.Source(db).Name(); got != pool.DefaultPool {
			t.Errorf("the pool is called %q", got)
		}
		want := "    pool:\\n      validationQuery: \\\"SELECT 1\\\""
		if !strings.Contains(log.String(), want) {
			t.Errorf("the warning does not show the right indentation %s: %s", want, log.String())
		}
	})
}

func TestMaxIdleOfGuardedModeIsDatabaseSQLsOwn(t *testing.T) {
	for keys, want := range map[string]int{"maxIdle: 0": 0, "maxIdle: 2": 2, "maxUses: 0": 4} {
		t.Run(keys, func(t *testing.T) {
			_, dsn := newBackend(t)
			db := open(t, forms["nested"]("driver: memory", "dsn: "+dsn, "mode: guarded", "maxOpen: 4", keys), herzconfig.Config{})
			var all []*sql.Conn
			for range 4 {
				c, err := db.Conn(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, c)
			}
			for _, c := range all {
				_ = c.Close()
			}
			if got := db.Stats().Idle; got != want {
				t.Errorf("%d are kept idle, want %d", got, want)
			}
		})
	}
}

func TestRolesAndIdentityReachTheDatabase(t *testing.T) {
	_, dsn := newBackend(t)
	for _, key := range []string{"requireWritable: true", "requireReplica: true"} {
		path := write(t, forms["nested"]("driver: memory", "dsn: "+dsn, key))
		_, err := herzconfig.Open(herzconfig.Config{Path: path, Drivers: memory, Static: true})
		var invalid *herzconfig.InvalidError
		if !errors.As(err, &invalid) || !strings.Contains(err.Error(), "server is required") || invalid.Problems[0].Line != 2 {
			t.Errorf("%s on a driver that cannot be asked: %v", key, err)
		}
	}
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "herz-config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
