package pool_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"runtime"
	"runtime/metrics"
	"testing"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/pool"
)

// probe is what the article's probe sees: how long runtime.GC took, and by how many connections the pool's count is off. It leaves
// open what the count is compared with, so the tests try both: with the count before the collection, and with an idle pool.
type probe struct {
	took time.Duration
	off  int
}

type verdict string

const (
	normal    verdict = "normal"
	suspected verdict = "leak suspected"
	alarm     verdict = "alarm"
)

// articleRule is the article's table: up to 5 ms and 2 connections under normal load, up to 20 ms and 8 connections under memory pressure;
// above 50 ms an alarm. What lies between is in no row, so it is suspected here.
func articleRule(p probe) verdict {
	switch off := max(p.off, -p.off); {
	case p.took > 50*time.Millisecond:
		return alarm
	case p.took <= 5*time.Millisecond && off <= 2, p.took <= 20*time.Millisecond && off <= 8:
		return normal
	default:
		return suspected
	}
}

// nop is a driver whose connections do nothing.
type nop struct{}

func (nop) Connect(context.Context) (driver.Conn, error) { return nop{}, nil }
func (nop) Driver() driver.Driver                        { return nil }
func (nop) Prepare(string) (driver.Stmt, error)          { return nil, errors.New("nothing is prepared here") }

func (nop) Begin() (driver.Tx, error) { return nil, errors.New("nothing is begun here") }
func (nop) Close() error              { return nil }

// program borrows from the article's kind of pool, whose count it asks (sql.DB), and from Herz in the same places.
type program struct {
	db    *sql.DB
	pool  *pool.Pool[*fake]
	seen  *log
	conns []*sql.Conn
	held  []pool.Lease[*fake]
}

func newProgram(t *testing.T) *program {
	r := &program{db: sql.OpenDB(nop{}), seen: &log{}}
	t.Cleanup(func() { r.db.Close() })
	r.pool = newPool(t, &fakeServer{}, func(c *pool.Config[*fake]) {
		c.Observer = r.seen
		c.Limits = pool.Limits{MaxOpen: 100, LeakAfter: time.Hour} // every lease is watched
	})
	return r
}

// hold borrows n connections for users who are at work with them.
func (r *program) hold(t *testing.T, n int) {
	for range n {
		c, err := r.db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r.conns, r.held = append(r.conns, c), append(r.held, acquire(t, r.pool))
	}
}

// lose borrows n connections and forgets them.
//
//go:noinline
func (r *program) lose(t *testing.T, n int) {
	for range n {
		if _, err := r.db.Conn(t.Context()); err != nil {
			t.Fatal(err)
		}
		lose(t, r.pool)
	}
}

func (r *program) giveBack() {
	for i := range r.held {
		r.conns[i].Close()
		r.held[i].Release()
	}
	r.conns, r.held = nil, nil
}

func (r *program) counted() int { return r.db.Stats().InUse }

// proved is how many leases Herz has proved lost.
func (r *program) proved() int { return len(r.seen.of(pool.Leaked)) }

// provedAll waits until Herz has proved n leases lost.
func (r *program) provedAll(t *testing.T, n int) {
	t.Helper()
	if !collect(t, func() bool { return r.proved() >= n }) {
		t.Errorf("of %d lost leases, %d were proved", n, r.proved())
	}
}

// timedGC is the article's probe: a collection, how long it took, and in how many pauses of the world.
func timedGC() (took time.Duration, pauses uint64) {
	before := pausesUntilNow()
	begun := time.Now()
	runtime.GC()
	return time.Since(begun), pausesUntilNow() - before
}

func pausesUntilNow() uint64 {
	s := []metrics.Sample{{Name: "/sched/pauses/total/gc:seconds"}}
	metrics.Read(s)
	var n uint64
	for _, c := range s[0].Value.Float64Histogram().Counts {
		n += c
	}
	return n
}

// Two programs live in one process, and one collection is timed for both: what the rule is fed is the same for the one that lost its
// connections and the one whose users are at work, however fast the machine is. So no thresholds on these two numbers can tell them
// apart.
func TestGCTimeIsTheSameForLostAndForHeldLeases(t *testing.T) {
	const n = 2
	leaky, sound := newProgram(t), newProgram(t)
	leaky.lose(t, n)
	sound.hold(t, n)
	leakyBefore, soundBefore := leaky.counted(), sound.counted()
	took, pauses := timedGC()
	if pauses == 0 {
		t.Fatal("no pause was counted: this measures nothing")
	}
	t.Logf("one collection took %v in %d pauses", took, pauses)
	for what, fed := range map[string][2]probe{
		"against the count before": {{took, leaky.counted() - leakyBefore}, {took, sound.counted() - soundBefore}},
		"against an idle pool":     {{took, leaky.counted()}, {took, sound.counted()}},
	} {
		if fed[0] != fed[1] {
			t.Errorf("%s, the rule is fed %+v of the leaky program and %+v of the sound one", what, fed[0], fed[1])
		}
		if a, b := articleRule(fed[0]), articleRule(fed[1]); a != b {
			t.Errorf("%s, the rule finds the leaky program %s and the sound one %s", what, a, b)
		}
	}
	leaky.provedAll(t, n)
	if got := sound.proved(); leaky.proved() != n || got != 0 {
		t.Errorf("Herz proved %d lost of %d, and %d of the sound program's", leaky.proved(), n, got)
	}
	if s := sound.pool.Stats(); s.InUse != n || s.Closed[conn.Leaked] != 0 {
		t.Errorf("the sound program's leases were touched: %+v", s)
	}
	sound.giveBack()
}

// What is lost before the count is taken does not change the count any more, so that its change says nothing about losses and
// all about traffic: 60 lost ones are normal, nine new users are a leak, at whatever speed.
func TestCountAcrossAGCSpeaksOfTrafficAndNotOfLeaks(t *testing.T) {
	leaky, sound := newProgram(t), newProgram(t)
	leaky.lose(t, 60)
	leakyBefore, soundBefore := leaky.counted(), sound.counted()
	sound.hold(t, 9) // they came while the collection ran
	took, _ := timedGC()
	lost, busy := leaky.counted()-leakyBefore, sound.counted()-soundBefore
	for _, took := range []time.Duration{took, time.Millisecond, 5 * time.Millisecond, 20 * time.Millisecond} {
		if v := articleRule(probe{took, lost}); took <= 20*time.Millisecond && v != normal {
			t.Errorf("%v and 60 lost connections that change the count by %d: %s", took, lost, v)
		}
		if v := articleRule(probe{took, busy}); v == normal {
			t.Errorf("%v and nine users that change the count by %d: %s", took, busy, v)
		}
	}
	leaky.provedAll(t, 60)
	if leaky.proved() != 60 || sound.proved() != 0 {
		t.Errorf("Herz proved %d lost of 60, and %d of nine that are held", leaky.proved(), sound.proved())
	}
	sound.giveBack()
}

// A collection takes as long as there is heap to scan. How much that is can be asked without a clock: sixty lost connections
// are nothing beside the data of a program that loses none.
func TestGCTimeMeasuresTheHeap(t *testing.T) {
	leaky, sound := newProgram(t), newProgram(t)
	for range 3 {
		timedGC() // what earlier tests left goes
	}
	none := scanned()
	leaky.lose(t, 60)
	tookLeaky, _ := timedGC()
	leaks := scanned() - none
	leaky.provedAll(t, 60)

	none = scanned()
	data := make([]*[128]*int, 16<<10) // 16 MiB, all of it pointers that the collector has to look at
	for i := range data {
		data[i] = new([128]*int)
	}
	tookSound, _ := timedGC()
	heap := scanned() - none
	runtime.KeepAlive(data)
	t.Logf("60 lost connections: %d bytes to scan, %v; none lost and 16 MiB of data: %d bytes, %v", leaks, tookLeaky, heap, tookSound)
	if heap < 8<<20 || leaks > 1<<20 {
		t.Errorf("60 lost connections are %d bytes to scan, the sound program's data %d", leaks, heap)
	}
	if leaky.proved() != 60 || sound.proved() != 0 {
		t.Errorf("Herz proved %d lost of 60, and %d of a program that loses none", leaky.proved(), sound.proved())
	}
}

// scanned is how much heap the newest collection had to scan.
func scanned() int64 {
	s := []metrics.Sample{{Name: "/gc/scan/heap:bytes"}}
	metrics.Read(s)
	return int64(s[0].Value.Uint64())
}

// Durations that were recorded on a machine of two shared cores: without a single leak by size of the heap, and with 2,000
// connections lost. The rule is right where it cannot be wrong.
func TestRecordedGCTimesMisleadTheRule(t *testing.T) {
	for _, c := range []struct {
		what string
		fed  probe
		lost int
		want verdict
	}{
		{"a heap of 1 MB", probe{5 * time.Millisecond, 0}, 0, normal},
		{"a heap of 64 MB", probe{25 * time.Millisecond, 0}, 0, suspected},
		{"a heap of 256 MB", probe{90 * time.Millisecond, 0}, 0, alarm},
		{"a heap of 1 GB", probe{430 * time.Millisecond, 0}, 0, alarm},
		{"2,000 lost connections", probe{7900 * time.Microsecond, 0}, 2000, normal},
	} {
		if got := articleRule(c.fed); got != c.want {
			t.Errorf("%s, %d lost: %s, the table says %s", c.what, c.lost, got, c.want)
		}
	}
}
