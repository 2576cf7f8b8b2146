package herzsql_test

import (
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"herz.example/herz/guard"
	"herz.example/herz/herzsql"
	"herz.example/herz/pool"
)

// TestNothingIsExecutedTwiceUnderAnyMixOfFaults runs statements while the server hangs up and contexts end at random. Each
// statement that the server executed must have been acknowledged once, or have ended with an error that says "perhaps".
func TestNothingIsExecutedTwiceUnderAnyMixOfFaults(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		s := newServer(t)
		db := m.db(t, s, pool.Limits{MaxOpen: 6, PingAfter: 2 * time.Millisecond, MaxUses: 50})
		var done, perhaps, refused atomic.Int64
		stop := make(chan struct{})
		var faults, users sync.WaitGroup
		faults.Add(1)
		go func() {
			defer faults.Done()
			pace := time.NewTicker(3 * time.Millisecond)
			defer pace.Stop()
			for {
				select {
				case <-stop:
					return
				case <-pace.C:
					s.hangUp()
					_ = herzsql.Stats(db)
					_ = herzsql.Source(db).Snapshot()
				}
			}
		}()
		for range 16 {
			users.Add(1)
			go func() {
				defer users.Done()
				for range 300 {
					err := oneStatement(db)
					switch {
					case err == nil:
						done.Add(1)
					case errors.Is(err, guard.ErrAmbiguous), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
						perhaps.Add(1)
					case guard.SafeToRetry(err), errors.Is(err, guard.ErrDead), errors.Is(err, errInvalid):
						refused.Add(1)
					default:
						t.Errorf("an error without a verdict: %v", err)
					}
				}
			}()
		}
		users.Wait()
		close(stop)
		faults.Wait()
		if n := s.executed.Load(); n < done.Load() || n > done.Load()+perhaps.Load() {
			t.Errorf("executed %d, acknowledged %d, perhaps %d, refused %d", n, done.Load(), perhaps.Load(), refused.Load())
		}
		if done.Load() == 0 {
			t.Error("nothing succeeded")
		}
		eventually(t, "nothing is in use", func() bool { got := herzsql.Stats(db); return got.InUse == 0 && sum(got) == got.Open })
		eventually(t, "the newest deaths are known", func() bool { got := herzsql.Stats(db); return got.Open-got.Stale-got.Closing <= s.open() })
		if _, err := db.Exec("add one"); err != nil {
			t.Errorf("after the faults: %v", err)
		}
	})
}

// oneStatement executes one statement, in one of several ways, with time that may be too short.
func oneStatement(db *sql.DB) error {
	ctx, cancel := context.Background(), func() {}
	if rand.IntN(4) == 0 {
		ctx, cancel = context.WithTimeout(ctx, time.Duration(rand.IntN(2000))*time.Microsecond)
	}
	defer cancel()
	switch rand.IntN(3) {
	case 0:
		st, err := db.PrepareContext(ctx, "add one")
		if err != nil {
			return err
		}
		defer st.Close()
		_, err = st.ExecContext(ctx)
		return err
	default:
		_, err := db.ExecContext(ctx, "add one")
		return err
	}
}
