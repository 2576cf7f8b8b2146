//go:build linux

package signals_test

import (
	"context"
	"database/sql"
	"log/slog"
	"testing"
	"time"

	"herz.example/herz/ceiling"
	"herz.example/herz/conn"
	"herz.example/herz/faultlab/server"
	"herz.example/herz/herzsql"
	"herz.example/herz/pool"
)

// TestIdleTimeOutOfAServerIsLearnedAndThenDeathsStop lets a real server, and a real balancer before one, close what rests.
func TestIdleTimeOutOfAServerIsLearnedAndThenDeathsStop(t *testing.T) {
	for name, c := range map[string]struct {
		after time.Duration
		start func(t *testing.T) string
	}{
		"MariaDB, wait_timeout 5 s": {5 * time.Second, func(t *testing.T) string {
			return server.Start(t, server.MariaDB, server.Options{IdleTimeout: 5 * time.Second}).Addr()
		}},
		"HAProxy, 2 s": {2 * time.Second, func(t *testing.T) string {
			behind := server.Start(t, server.MariaDB, server.Options{})
			return server.Start(t, server.HAProxy, server.Options{IdleTimeout: 2 * time.Second, To: []string{behind.Addr()}}).Addr()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			learner := ceiling.New(ceiling.Config{Apply: true, Logger: slog.New(slog.DiscardHandler)})
			db, err := herzsql.OpenPooled("mysql", "root@tcp("+c.start(t)+")/", herzsql.WithName("orders"), herzsql.WithObserver(learner),
				herzsql.WithLimits(pool.Limits{MaxOpen: 4, HeartbeatEvery: -1}))
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			for rounds := 0; len(learner.Lessons()) == 0; rounds++ {
				if rounds == 3 {
					t.Fatalf("not learned after %d deaths: %v", died(db), herzsql.Source(db).Deaths())
				}
				useInTurn(t, db)
				before := died(db)
				if !within(c.after+5*time.Second, func() bool { return died(db) >= before+4 || len(learner.Lessons()) > 0 }) {
					t.Fatalf("the server closed %d of 4 connections", died(db)-before)
				}
			}
			l := learner.Lessons()[0]
			t.Logf("after %d deaths: %v", died(db), l)
			if off := float64(l.Ceiling-c.after) / float64(c.after); off < -0.1 || off > 0.1 {
				t.Errorf("learned %v, and it is %v", l.Ceiling, c.after)
			}
			if n := died(db); n > 12 {
				t.Errorf("it took %d deaths", n)
			}
			learner.Wait()
			if got := herzsql.Source(db).Limits().MaxIdleTime; got != l.Advised() {
				t.Fatalf("MaxIdleTime is %v, not %v", got, l.Advised())
			}
			time.Sleep(c.after) // what rested before is gone, one way or the other
			before := died(db)
			for range 2 {
				useInTurn(t, db)
				time.Sleep(c.after + time.Second)
			}
			if n := died(db) - before; n > 0 {
				t.Errorf("%d more connections were closed by the server", n)
			}
		})
	}
}

// died is how many connections the other side has ended.
func died(db *sql.DB) uint64 {
	closed := herzsql.Stats(db).Closed
	return closed[conn.PeerFIN] + closed[conn.PeerRST]
}

// useInTurn uses four connections, and returns them one after the other, so that their ends are four moments.
func useInTurn(t *testing.T, db *sql.DB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var all []*sql.Conn
	for range 4 {
		c, err := db.Conn(ctx)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	for _, c := range all {
		time.Sleep(200 * time.Millisecond) // longer than what counts as one moment
		if err := c.PingContext(ctx); err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
