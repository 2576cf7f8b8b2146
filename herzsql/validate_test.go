package herzsql_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"herz.example/herz/guard"
	"herz.example/herz/herzsql"
	"herz.example/herz/pool"
)

const validation = "SELECT 1"

// asked counts the validation queries among what clients sent.
func asked(lines []string) (n int) {
	for _, l := range lines {
		if strings.HasPrefix(l, "query "+validation) || strings.HasPrefix(l, "prepare "+validation) {
			n++
		}
	}
	return n
}

func TestPingOfALoanIsNeverAnythingButTheValidationQuery(t *testing.T) {
	const loans = 5
	inBothModes(t, func(t *testing.T, m mode) {
		s := newServer(t)
		db, err := m.open("fake", s.listener.Addr().String(), herzsql.WithValidationQuery(validation),
			herzsql.WithLimits(pool.Limits{MaxOpen: 1, TestOnBorrow: true}))
		if err != nil {
			t.Fatal(err)
		}
		for range loans {
			if _, err := db.Exec("add one"); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		lines := s.saidInFull(t)
		if n := asked(lines); n != loans && n != loans+1 { // one at the dial, and one at each loan; the first may do without
			t.Errorf("the query was run %d times for %d loans: %q", n, loans, lines)
		}
		if slices.Contains(lines, "ping") {
			t.Errorf("the driver's own ping was sent as well: %q", lines)
		}
	})
}

func TestHeartbeatRunsTheValidationQuery(t *testing.T) {
	s := newServer(t)
	db, err := herzsql.OpenPooled("fake", s.listener.Addr().String(), herzsql.WithValidationQuery(validation),
		herzsql.WithLimits(pool.Limits{MinIdle: 1, HeartbeatEvery: 20 * time.Millisecond}))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	eventually(t, "five heartbeats", func() bool { return herzsql.Stats(db).Heartbeats >= 5 })
	_ = db.Close()
	lines := s.saidInFull(t)
	if n := asked(lines); n < 5 || slices.Contains(lines, "ping") {
		t.Errorf("five heartbeats sent %q", lines)
	}
}

func TestQueryThatTheServerDoesNotUnderstandFailsAtTheFirstDial(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		s := newServer(t)
		s.reject.Store(true)
		db, err := m.open("fake", s.listener.Addr().String(), herzsql.WithValidationQuery("SELCT 1"))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		err = db.PingContext(ctx)
		if err == nil || !strings.Contains(err.Error(), `"SELCT 1"`) || !strings.Contains(err.Error(), errWrong.Error()) {
			t.Errorf("the error names neither the query nor what the server said: %v", err)
		}
	})
}

func TestConnectionThatDoesNotAnswerTheQueryIsNotLent(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		s := newServer(t)
		db, err := m.open("fake", s.listener.Addr().String(), herzsql.WithValidationQuery(validation),
			herzsql.WithLimits(pool.Limits{MaxOpen: 2, TestOnBorrow: true, HeartbeatTimeout: 1600 * time.Millisecond}))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		fill(t, db, 2)
		s.fallSilent()
		within(t, 1600*time.Millisecond, "a statement over two silent connections", func() {
			if _, err := db.Exec("add one"); err != nil {
				t.Errorf("a silent connection surfaced: %v", err)
			}
		})
	})
}

func TestWhoAnswersIsAskedBesideTheValidationQuery(t *testing.T) {
	atSite(t, func(t *testing.T, pooled bool) {
		a, b := &backend{name: "a"}, &backend{name: "b"}
		s := newSite(always(a))
		db := s.open(t, pooled, herzsql.WithValidationQuery(validation), herzsql.WithLimits(pool.Limits{MaxOpen: 1, TestOnBorrow: true}))
		hold(t, db, 1)
		if n := s.asked.Load(); n != 2 && n != 4 {
			t.Errorf("%d questions at the dial, not the query and who answers", n)
		}
		hold(t, db, 1)
		if n := s.asked.Load(); n != 4 && n != 6 { // the first loan may do without
			t.Errorf("%d questions after two loans, not two for the dial and two for each loan", n)
		}
		if n := s.pings.Load(); n != 0 {
			t.Errorf("%d pings of the driver", n)
		}
		a.readonly.Store(true)
		s.lead(always(b))
		if errs := write(db, 1, 20*time.Millisecond, 2*time.Second); len(errs) > 1 {
			t.Errorf("%d writes went to the server that was demoted: %v", len(errs), errs[0])
		}
	})
}

func TestDriverWithAHookRunsTheValidationQueryToo(t *testing.T) {
	s := newServer(t)
	db, err := herzsql.OpenConnector(hooked{connector: newConnector(s.listener.Addr().String(), &guard.Dialer{Options: guard.SQL})},
		herzsql.WithValidationQuery(validation), herzsql.WithLimits(pool.Limits{MaxOpen: 1, TestOnBorrow: true}))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for range 3 {
		if _, err := db.Exec("add one"); err != nil {
			t.Fatal(err)
		}
	}
	_ = db.Close()
	if lines := s.saidInFull(t); asked(lines) != 3 || slices.Contains(lines, "ping") {
		t.Errorf("three loans sent %q", lines)
	}
}

func TestDriverWithoutQueriesIsAskedByAPreparedStatement(t *testing.T) {
	for _, kind := range []string{"plain", "legacy"} {
		t.Run(kind, func(t *testing.T) {
			s := newServer(t)
			c := newConnector(s.listener.Addr().String(), &guard.Dialer{Options: guard.SQL})
			c.plain, c.legacy = kind == "plain", kind == "legacy"
			db, err := herzsql.OpenConnector(c, herzsql.WithValidationQuery(validation), herzsql.WithLimits(pool.Limits{MaxOpen: 1, TestOnBorrow: true}))
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			for range 3 {
				if err := db.QueryRow("all").Scan(new(int)); err != nil {
					t.Fatal(err)
				}
			}
			_ = db.Close()
			lines := s.saidInFull(t)
			if n := asked(lines); n != 6 { // prepared and run
				t.Errorf("%d in %q", n, lines)
			}
			open := strings.Count(strings.Join(lines, "\n"), "\nprepare ") - strings.Count(strings.Join(lines, "\n"), "\nunprepare ")
			if strings.HasPrefix(lines[0], "prepare ") {
				open++
			}
			if open != 0 {
				t.Errorf("%d statements were left open: %q", open, lines)
			}
		})
	}
}

// rowless is a connection whose queries find nothing.
type rowless struct{ *siteConn }

func (r rowless) QueryContext(context.Context, string, []driver.NamedValue) (driver.Rows, error) {
	return &whoRows{read: true}, nil
}

type rowlessSite struct{ *site }

func (r rowlessSite) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := r.site.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return rowless{c.(*siteConn)}, nil
}

func TestAnswerWithoutARowIsNoSignOfLife(t *testing.T) {
	a := &backend{name: "a"}
	db, err := herzsql.OpenConnector(rowlessSite{newSite(always(a))}, herzsql.WithValidationQuery(validation), herzsql.WithoutIdentity())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Ping(); err == nil || !strings.Contains(err.Error(), "no row") {
		t.Errorf("the error is %v", err)
	}
}

func TestLimitsAreCheckedWithoutBeingSet(t *testing.T) {
	bad := pool.Limits{MaxOpen: 3, MaxLifetime: time.Minute, MaxLifetimeJitter: time.Hour}
	good := pool.Limits{MaxOpen: 7}
	inBothModes(t, func(t *testing.T, m mode) {
		db := m.db(t, newServer(t), pool.Limits{MaxOpen: 5})
		v := herzsql.Source(db)
		if err := v.CheckLimits(bad); err == nil || err.Error() != errorText(v.SetLimits(bad)) {
			t.Errorf("CheckLimits says %v, SetLimits %v", err, v.SetLimits(bad))
		}
		if err := v.CheckLimits(good); err != nil {
			t.Error(err)
		}
		if n := v.Limits().MaxOpen; n != 5 {
			t.Errorf("a check set MaxOpen to %d", n)
		}
	})
	if err := herzsql.Source(new(sql.DB)).CheckLimits(good); err == nil {
		t.Error("the limits of a database that Herz did not open were found fit")
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestReconnectPerSecondIsRefusedWhereItHasNoEffect(t *testing.T) {
	_, err := herzsql.Open("fake", "127.0.0.1:1", herzsql.WithLimits(pool.Limits{ReconnectPerSecond: 3}))
	if err == nil || !strings.Contains(err.Error(), "ReconnectPerSecond") || errors.Is(err, driver.ErrBadConn) {
		t.Errorf("the error is %v", err)
	}
}

// A caller whose connections are refused three times in a row gets an error from database/sql. So a limit that is lowered while connections rest, or are
// handed from one caller to the next, refuses none of them at the loan.
func TestLowerMaxUsesRefusesNoConnectionAtTheLoan(t *testing.T) {
	s := newServer(t)
	db := modes[0].db(t, s, pool.Limits{MaxOpen: 3})
	fill(t, db, 3)
	if err := herzsql.SetLimits(db, pool.Limits{MaxOpen: 3, MaxUses: 1}); err != nil {
		t.Fatal(err)
	}
	for left := 2; left >= 0; left-- {
		if _, err := db.Exec("add one"); err != nil {
			t.Fatal(err)
		}
		if n := s.accepted.Load(); n != 3 {
			t.Errorf("%d dials: a connection was refused at the loan", n-3)
		}
		if n := db.Stats().OpenConnections; n != left {
			t.Errorf("%d connections are open, not %d: one past its uses was kept at its return", n, left)
		}
	}
}
