package herzsql_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
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
		var done, last atomic.Int64
		most := make([]int, 16*300+1) // how often each statement may have been executed, and
		least := make([]int, len(most))
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
					id := last.Add(1)
					err := oneStatement(db, id)
					switch {
					case err == nil:
						done.Add(1)
						least[id], most[id] = 1, 1
					case guard.SafeToRetry(err): // nothing was sent
					case errors.Is(err, guard.ErrAmbiguous), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled),
						errors.Is(err, guard.ErrDead), errors.Is(err, errInvalid):
						most[id] = 1
					default:
						t.Errorf("an error without a verdict: %v", err)
					}
				}
			}()
		}
		users.Wait()
		close(stop)
		faults.Wait()
		s.mu.Lock()
		for id := range most {
			if n := s.times[fmt.Sprintf("exec add %d[]", id)]; n < least[id] || n > most[id] {
				t.Errorf("statement %d was executed %d times, and %d to %d are right by what its caller was told", id, n, least[id], most[id])
			}
		}
		s.mu.Unlock()
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
func oneStatement(db *sql.DB, id int64) error {
	text := fmt.Sprintf("add %d", id)
	ctx, cancel := context.Background(), func() {}
	if rand.IntN(4) == 0 {
		ctx, cancel = context.WithTimeout(ctx, time.Duration(rand.IntN(2000))*time.Microsecond)
	}
	defer cancel()
	switch rand.IntN(3) {
	case 0:
		st, err := db.PrepareContext(ctx, text)
		if err != nil {
			return err
		}
		defer st.Close()
		_, err = st.ExecContext(ctx)
		return err
	default:
		_, err := db.ExecContext(ctx, text)
		return err
	}
}
