package pool_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"herz.example/herz/conn"
	"herz.example/herz/pool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a connection to a fakeServer. Its fields are atomic, because tests look while the pool works.
type fake struct {
	id     int64
	server *fakeServer
	owner  atomic.Int64
	pings  atomic.Int64
	resets atomic.Int64
	closed atomic.Bool
	luck   *dice // in a simulation: what happens to it; set before anybody has it
}

// fakeServer makes fakes and decides how they behave. The zero value answers everything at once.
type fakeServer struct {
	dials, open, mostOpen, mostDialing, dialing, closes, pings atomic.Int64

	dialTime, pingTime, closeTime atomic.Int64 // nanoseconds
	dialErr                       atomic.Pointer[error]
	pingErr                       atomic.Pointer[error]
	deaf                          atomic.Bool // pings, dials and closes hang and do not heed their context
	identity                      atomic.Pointer[string]

	mu   sync.Mutex // guards made; nothing else is done under it
	made []*fake
}

func (s *fakeServer) dial(ctx context.Context) (*fake, error) {
	raise(&s.mostDialing, s.dialing.Add(1))
	defer s.dialing.Add(-1)
	if err := sleep(ctx, s.dialTime.Load()); err != nil {
		return nil, err
	}
	if err := s.dialErr.Load(); err != nil {
		return nil, *err
	}
	f := &fake{id: s.dials.Add(1), server: s}
	raise(&s.mostOpen, s.open.Add(1))
	s.mu.Lock()
	s.made = append(s.made, f)
	s.mu.Unlock()
	return f, nil
}

func (s *fakeServer) ping(ctx context.Context, f *fake) error {
	f.pings.Add(1)
	s.pings.Add(1)
	if s.deaf.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	if err := sleep(ctx, s.pingTime.Load()); err != nil {
		return err
	}
	if err := s.pingErr.Load(); err != nil {
		return *err
	}
	return nil
}

func (f *fake) Close() error {
	if f.closed.Swap(true) {
		return errors.New("closed twice")
	}
	time.Sleep(time.Duration(f.server.closeTime.Load()))
	f.server.open.Add(-1)
	f.server.closes.Add(1)
	return nil
}

func raise(most *atomic.Int64, n int64) {
	for {
		old := most.Load()
		if n <= old || most.CompareAndSwap(old, n) {
			return
		}
	}
}

func sleep(ctx context.Context, ns int64) error {
	if ns == 0 {
		return ctx.Err()
	}
	t := time.NewTimer(time.Duration(ns))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// pass lets virtual time go by, and whatever became due meanwhile happen.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func failWith(err error) *error { return &err }

// newPool makes a pool over s and closes it with the test.
func newPool(t testing.TB, s *fakeServer, change func(*pool.Config[*fake])) *pool.Pool[*fake] {
	t.Helper()
	cfg := pool.Config[*fake]{Name: "test", Dial: s.dial, Ping: s.ping}
	if change != nil {
		change(&cfg)
	}
	p, err := pool.New(cfg)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func acquire(t testing.TB, p *pool.Pool[*fake]) pool.Lease[*fake] {
	t.Helper()
	l, err := p.Acquire(context.Background())
	if err != nil {
		t.Fatalf("Acquire: %v", err)
	}
	return l
}

// log is an observer that remembers.
type log struct {
	mu     sync.Mutex // guards events; nothing else is done under it
	events []pool.Event
}

func (l *log) Observe(e pool.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, e)
}

// of gives the remembered events of one kind.
func (l *log) of(kind pool.EventKind) []pool.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []pool.Event
	for _, e := range l.events {
		if e.Kind == kind {
			list = append(list, e)
		}
	}
	return list
}

// kinds gives the kinds of all events of connection id, in order; 0 for all.
func (l *log) kinds(id uint64) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := ""
	for _, e := range l.events {
		if id == 0 || e.Conn == id {
			text += fmt.Sprintf("%v ", e.Kind)
		}
	}
	return text
}

// checkSums fails when the numbers of a pool contradict each other.
func checkSums(t testing.TB, s pool.Stats, mostOpen int) {
	t.Helper()
	if s.Open != s.Idle+s.Checking+s.InUse+s.Stale+s.Closing {
		t.Errorf("open %d is not the sum of its states: %+v", s.Open, s)
	}
	if s.Open-s.Closing+s.Dialing > mostOpen {
		t.Errorf("%d places are taken, and MaxOpen never was above %d: %+v", s.Open-s.Closing+s.Dialing, mostOpen, s)
	}
	var closed uint64
	for c, n := range s.Closed {
		closed += n
		if c == conn.None {
			t.Errorf("%d connections were closed without a cause", n)
		}
	}
	if made := s.Dials - s.DialErrors - uint64(s.Dialing); uint64(s.Open-s.Stale-s.Closing) > made-closed+uint64(s.InUse) {
		t.Errorf("%d connections were made and %d ended, and %d are alive: %+v", made, closed, s.Open-s.Stale-s.Closing, s)
	}
}
