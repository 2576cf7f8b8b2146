package herzsql_test

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"herz.example/herz/guard"
	"herz.example/herz/herzsql"
	"herz.example/herz/pool"
)

func addOne(ctx context.Context, c *sql.Conn) error {
	_, err := c.ExecContext(ctx, "add one")
	return err
}

func TestWorkThatNeverReachedTheServerIsRepeated(t *testing.T) {
	controlled(t, func(t *testing.T, _ string, open func(*server, pool.Limits) *sql.DB) {
		s := newServer(t)
		db := open(s, pool.Limits{MaxOpen: 2})
		fill(t, db, 1)
		runs := 0
		err := herzsql.Retry(context.Background(), db, func(ctx context.Context, c *sql.Conn) error {
			if runs++; runs == 1 { // it dies between the loan and its first use
				s.hangUp()
				s.awaitDeaths(t)
			}
			return addOne(ctx, c)
		})
		if err != nil || runs != 2 || s.executed.Load() != 1 {
			t.Errorf("%d runs, executed %d times, error %v; want 2, 1, none", runs, s.executed.Load(), err)
		}
	})
}

func TestWorkThatMayHaveReachedTheServerIsRunOnce(t *testing.T) {
	elsewhere := &guard.DeadError{} // an error that proves something about another connection
	if !guard.SafeToRetry(elsewhere) {
		t.Fatal("the error of the other connection proves nothing, so the test shows nothing")
	}
	for name, c := range map[string]struct {
		work     func(t *testing.T, s *server, c *sql.Conn) error
		executed int64
		is       error
	}{
		"answer lost": {executed: 1, is: guard.ErrAmbiguous, work: func(_ *testing.T, s *server, c *sql.Conn) error {
			s.swallow.Store(true)
			return addOne(context.Background(), c)
		}},
		"second statement refused": {executed: 1, is: guard.ErrDead, work: func(t *testing.T, s *server, c *sql.Conn) error {
			if err := addOne(context.Background(), c); err != nil {
				t.Error(err)
			}
			s.hangUp()
			s.awaitDeaths(t)
			return addOne(context.Background(), c)
		}},
		"error from elsewhere": {executed: 1, is: guard.ErrDead, work: func(t *testing.T, _ *server, c *sql.Conn) error {
			if err := addOne(context.Background(), c); err != nil {
				t.Error(err)
			}
			return elsewhere
		}},
		"complete answer that says no": {executed: 1, is: errWrong, work: func(_ *testing.T, s *server, c *sql.Conn) error {
			s.reject.Store(true)
			return addOne(context.Background(), c)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			inBothModes(t, func(t *testing.T, m mode) {
				s := newServer(t)
				db := m.db(t, s, pool.Limits{MaxOpen: 2})
				runs := 0
				err := herzsql.Retry(context.Background(), db, func(_ context.Context, conn *sql.Conn) error {
					runs++
					return c.work(t, s, conn)
				})
				if !errors.Is(err, c.is) || runs != 1 || s.executed.Load() != c.executed {
					t.Errorf("%d runs, executed %d times, error %v; want 1, %d, %v", runs, s.executed.Load(), err, c.executed, c.is)
				}
			})
		})
	}
}

// The errors of a connection that is not wrapped tell nothing of what was sent before.
func TestErrorFromElsewhereRepeatsNoWorkOfABareConnection(t *testing.T) {
	controlled(t, func(t *testing.T, _ string, open func(*server, pool.Limits) *sql.DB) {
		s := newServer(t)
		db, runs := open(s, pool.Limits{MaxOpen: 2}), 0
		elsewhere := &guard.DeadError{}
		err := herzsql.Retry(t.Context(), db, func(ctx context.Context, c *sql.Conn) error {
			if runs++; runs == 1 {
				return elsewhere // nothing was sent yet
			}
			if err := addOne(ctx, c); err != nil {
				t.Error(err)
			}
			return elsewhere
		})
		if !errors.Is(err, elsewhere) || runs != 2 || s.executed.Load() != 1 {
			t.Errorf("%d runs, executed %d times, error %v; want 2, 1, that from elsewhere", runs, s.executed.Load(), err)
		}
	})
}

// refuseFirst makes the first n dials fail.
func refuseFirst(n int64) (*atomic.Int64, func(context.Context, string, string) (net.Conn, error)) {
	d, dials := &guard.Dialer{}, new(atomic.Int64)
	return dials, func(ctx context.Context, network, addr string) (net.Conn, error) {
		if dials.Add(1) <= n {
			return nil, errors.New("fake: too many connections")
		}
		return d.DialContext(ctx, network, addr)
	}
}

func TestWorkWaitsForAServerThatComesBack(t *testing.T) {
	s := newServer(t)
	dials, dial := refuseFirst(4)
	c := newConnector(s.listener.Addr().String(), &guard.Dialer{})
	c.dial = dial
	db, err := herzsql.OpenConnector(c)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	began := time.Now()
	if err := herzsql.Retry(context.Background(), db, addOne); err != nil {
		t.Fatal(err)
	}
	if n := dials.Load(); n != 5 {
		t.Errorf("%d dials, not 5", n)
	}
	// 10, 20, 40 and 80 ms, of each at least a half.
	if took := time.Since(began); took < 75*time.Millisecond {
		t.Errorf("four failed attempts in %v: there is no pause between them", took)
	}
}

func TestWorkIsGivenUpAtTheEndOfItsTime(t *testing.T) {
	_, dial := refuseFirst(1 << 40)
	c := newConnector("", &guard.Dialer{})
	c.dial = dial
	db, err := herzsql.OpenConnector(c)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	within(t, 2*time.Second, "work without a server", func() {
		err := herzsql.Retry(ctx, db, func(context.Context, *sql.Conn) error {
			t.Error("it ran without a connection")
			return nil
		})
		if err == nil || !strings.Contains(err.Error(), "too many connections") || !strings.HasPrefix(err.Error(), "attempt ") {
			t.Errorf("the error is %v, which does not say why and how often", err)
		}
	})
}

func TestWorkWithoutADeadlineIsGivenUpAfterTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, dial := refuseFirst(1 << 40)
		c := newConnector("", &guard.Dialer{})
		c.dial = dial
		db, err := herzsql.OpenConnector(c)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		began := time.Now()
		if err := herzsql.Retry(context.Background(), db, addOne); err == nil {
			t.Error("there was no server, and no error")
		}
		if took := time.Since(began); took < 9*time.Second || took > 10*time.Second {
			t.Errorf("it was given up after %v, not within the last of ten seconds", took)
		}
	})
}

func TestCancelledWorkIsNotRepeated(t *testing.T) {
	s := newServer(t)
	db := modes[0].db(t, s, pool.Limits{})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := herzsql.Retry(ctx, db, func(context.Context, *sql.Conn) error {
		t.Error("it ran after its context had ended")
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v, not context.Canceled", err)
	}
}
