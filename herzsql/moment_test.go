package herzsql

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/pool"
)

// unguarded is a book with one connection, which has no guard.
func unguarded() (*book, *entry) {
	b := newBook(&settings{}, pool.Limits{}, true)
	return b, b.add(nil, b.limits.Load(), b.generation)
}

func TestTimeOfACheckIsNeverBehindTheClockAndHardlyAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dice := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test
		b, e := unguarded()
		last := time.Now()
		for range 5_000 {
			time.Sleep(time.Duration(dice.IntN(int(2 * justNow))))
			heard := dice.IntN(2) == 0
			if heard { // an answer came since
				e.heard.Store(b.now())
				time.Sleep(time.Duration(dice.IntN(int(justNow))))
			}
			checked := time.Since(last) // as pgx measures it, a little earlier than Herz would
			last = time.Now()
			time.Sleep(time.Duration(dice.IntN(3)) * time.Microsecond)
			at := b.moment(e, checked)
			if off := time.Duration(at - b.now()); off < -3*time.Microsecond || off > justNow {
				t.Fatalf("%v after the last check the time is %v off", checked, off)
			}
			e.since.Store(at)
		}
	})
}

func TestDriverThatMeasuresNothingIsTimedByTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, e := unguarded()
		time.Sleep(time.Minute)
		for _, checked := range []time.Duration{0, -1, justNow + 1, time.Hour} {
			if at := b.moment(e, checked); at != int64(time.Minute) {
				t.Errorf("checked %v ago, as its driver says: it is %v", checked, time.Duration(at))
			}
		}
	})
}

func TestRoundOverIdleConnectionsIsACheckToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, e := unguarded()
		time.Sleep(time.Hour)
		if err := (&round{book: b}).meet(e, Probe{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
		if err := b.check(context.Background(), e, Probe{Checked: time.Millisecond}); err != nil {
			t.Fatal(err)
		}
		if since := time.Duration(e.since.Load()); since != time.Hour+time.Millisecond {
			t.Errorf("a millisecond after a round of %v it was lent, they say, after %v", time.Hour, since)
		}
	})
}

func TestEveryLoanIsCountedOnceThoughItsConnectionLeaves(t *testing.T) {
	for range 200 {
		b, e := unguarded()
		_, other := b, b.add(nil, b.limits.Load(), b.generation)
		const callers, each = 4, 100
		var all sync.WaitGroup
		for range callers {
			all.Go(func() {
				for range each {
					b.lend(e)
				}
			})
		}
		all.Go(func() {
			for range 2 { // it is told twice: by its guard, and by database/sql
				b.mu.Lock()
				b.leaveLocked(e)
				b.mu.Unlock()
			}
		})
		all.Wait()
		b.lend(other)
		if n := b.acquires(); n != callers*each+3 {
			t.Fatalf("%d loans, and two dials: %d were counted", callers*each+1, n)
		}
	}
}

func TestConnectionThatItsDriverClosesAfterThePingsTimeFellSilent(t *testing.T) {
	for _, bare := range []bool{true, false} {
		for after, want := range map[time.Duration]conn.Cause{-time.Millisecond: conn.Error, 0: conn.Heartbeat, time.Second: conn.Heartbeat} {
			synctest.Test(t, func(t *testing.T) {
				b := newBook(&settings{}, pool.Limits{}, bare)
				e := b.add(nil, b.limits.Load(), b.generation)
				const limit = time.Second
				time.Sleep(time.Minute)
				e.asked.Store(b.now() + int64(limit)) // as ping does
				time.Sleep(limit + after)
				b.died(e, conn.Death{Cause: conn.Drained})
				if got := b.deaths.newest()[0].Cause; got != want {
					t.Errorf("bare %v: closed by its driver %v after the ping's time: %v, want %v", bare, after, got, want)
				}
			})
		}
	}
}
