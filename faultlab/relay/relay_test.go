package relay_test

import (
	"encoding/binary"
	"io"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"herz.example/herz/faultlab/relay"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// end is one end of a path: the test sends packets into it, and sees what arrives there, and when.
type end struct {
	sent    chan []byte
	arrived chan arrival
	closed  chan struct{}
}

type arrival struct {
	number int
	at     time.Time
}

func newEnd() *end {
	return &end{sent: make(chan []byte), arrived: make(chan arrival, 1<<17), closed: make(chan struct{})}
}

func (e *end) Read(b []byte) (int, error) {
	select {
	case p := <-e.sent:
		return copy(b, p), nil
	case <-e.closed:
		return 0, io.EOF
	}
}

func (e *end) Write(b []byte) (int, error) {
	e.arrived <- arrival{int(binary.BigEndian.Uint32(b[24:])), time.Now()}
	return len(b), nil
}

func (e *end) Close() error { close(e.closed); return nil }

// packet is a TCP packet of a flow, with a number.
func packet(flow uint16, number int) []byte {
	p := make([]byte, 28)
	p[0], p[9] = 0x45, 6
	binary.BigEndian.PutUint16(p[20:], flow)
	binary.BigEndian.PutUint32(p[24:], uint32(number))
	return p
}

// path runs a test with a relay in virtual time.
func path(t *testing.T, seed uint64, test func(t *testing.T, r *relay.Relay, a, b *end)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a, b := newEnd(), newEnd()
		r := relay.New(a, b, seed)
		defer r.Close()
		test(t, r, a, b)
	})
}

func set(t *testing.T, r *relay.Relay, w relay.Weather) {
	t.Helper()
	if err := r.Set(w); err != nil {
		t.Fatal(err)
	}
}

// arrivals are what has arrived so far.
func (e *end) arrivals() (all []arrival) {
	synctest.Wait()
	for {
		select {
		case a := <-e.arrived:
			all = append(all, a)
		default:
			return all
		}
	}
}

func numbers(all []arrival) []int {
	n := make([]int, len(all))
	for i, a := range all {
		n[i] = a.number
	}
	return n
}

func TestGoodPathPassesEverythingAtOnceInBothDirections(t *testing.T) {
	path(t, 1, func(t *testing.T, r *relay.Relay, a, b *end) {
		began := time.Now()
		for i := range 100 {
			a.sent <- packet(1, i)
			b.sent <- packet(1, i)
		}
		for _, e := range []*end{a, b} {
			all := e.arrivals()
			if len(all) != 100 || !slices.IsSorted(numbers(all)) || !all[99].at.Equal(began) {
				t.Errorf("%d packets arrived, in order: %t", len(all), slices.IsSorted(numbers(all)))
			}
		}
		if out, in := r.Stats(); out.Carried != 100 || in.Carried != 100 {
			t.Errorf("counted %+v, %+v", out, in)
		}
	})
}

func TestDelayIsWhatWasAskedFor(t *testing.T) {
	path(t, 1, func(t *testing.T, r *relay.Relay, a, b *end) {
		const delay = 300 * time.Millisecond
		set(t, r, relay.Weather{Delay: delay})
		began := time.Now()
		for i := range 10 {
			a.sent <- packet(1, i)
			time.Sleep(time.Millisecond)
		}
		time.Sleep(delay)
		for _, p := range b.arrivals() {
			if took := p.at.Sub(began) - time.Duration(p.number)*time.Millisecond; took != delay {
				t.Errorf("packet %d took %v, want %v", p.number, took, delay)
			}
		}
		if out, _ := r.Stats(); out.Late != 0 {
			t.Errorf("late by %v", out.Late)
		}
		set(t, r, relay.Weather{})
		a.sent <- packet(1, 10)
		if left := b.arrivals(); len(left) != 1 || !left[0].at.Equal(time.Now()) {
			t.Errorf("after the weather became good: %v", left)
		}
	})
}

func TestJitterNeverChangesTheOrderOfAFlowUnlessAsked(t *testing.T) {
	for _, reorder := range []bool{false, true} {
		path(t, 7, func(t *testing.T, r *relay.Relay, a, b *end) {
			const jitter = time.Second
			set(t, r, relay.Weather{Jitter: jitter, Reorder: reorder})
			sent := map[int]time.Time{}
			for i := range 400 {
				sent[i] = time.Now()
				a.sent <- packet(uint16(i%4), i)
				time.Sleep(10 * time.Millisecond)
			}
			time.Sleep(jitter)
			all := b.arrivals()
			ordered, last := true, [4]int{}
			var longest time.Duration
			for _, p := range all {
				ordered = ordered && p.number >= last[p.number%4]
				last[p.number%4] = p.number
				took := p.at.Sub(sent[p.number])
				longest = max(longest, took)
				if took < 0 || took >= jitter {
					t.Errorf("packet %d took %v", p.number, took)
				}
			}
			if len(all) != 400 || ordered == reorder || longest < jitter/2 {
				t.Errorf("reorder %t: %d packets, in order: %t, the longest took %v", reorder, len(all), ordered, longest)
			}
		})
	}
}

func TestLossIsTheShareThatWasAskedForAndFollowsFromTheSeed(t *testing.T) {
	lost := func(seed uint64) (survivors []int) {
		path(t, seed, func(t *testing.T, r *relay.Relay, a, b *end) {
			set(t, r, relay.Weather{Loss: 0.05})
			for i := range 20000 {
				a.sent <- packet(1, i)
			}
			survivors = numbers(b.arrivals())
			if out, _ := r.Stats(); int(out.Lost) != 20000-len(survivors) {
				t.Errorf("counted %d, lost %d", out.Lost, 20000-len(survivors))
			}
		})
		return survivors
	}
	first := lost(11)
	if share := 1 - float64(len(first))/20000; math.Abs(share-0.05) > 0.01 {
		t.Errorf("lost %.3f, want 0.05", share)
	}
	if !slices.Equal(first, lost(11)) {
		t.Error("the same seed lost other packets")
	}
	if slices.Equal(first, lost(12)) {
		t.Error("another seed lost the same packets")
	}
}

func TestOutageLosesEverythingAndEndsByItself(t *testing.T) {
	path(t, 1, func(t *testing.T, r *relay.Relay, a, b *end) {
		r.Outage(1500 * time.Millisecond)
		for i := range 20 {
			a.sent <- packet(1, i)
			time.Sleep(100 * time.Millisecond)
		}
		if got := numbers(b.arrivals()); !slices.Equal(got, []int{15, 16, 17, 18, 19}) {
			t.Errorf("arrived: %v", got)
		}
	})
}

func TestFreezeHoldsPacketsUntilItEndsAndLosesNone(t *testing.T) {
	path(t, 1, func(t *testing.T, r *relay.Relay, a, b *end) {
		began := time.Now()
		set(t, r, relay.Weather{Freeze: time.Second, Every: 4 * time.Second})
		time.Sleep(50 * time.Millisecond)
		for i := range 80 { // two periods
			a.sent <- packet(1, i)
			time.Sleep(100 * time.Millisecond)
		}
		all := b.arrivals()
		if len(all) != 80 || !slices.IsSorted(numbers(all)) {
			t.Fatalf("%d of 80 packets arrived, in order: %t", len(all), slices.IsSorted(numbers(all)))
		}
		for _, p := range all {
			sent := 50*time.Millisecond + time.Duration(p.number)*100*time.Millisecond
			want := sent
			if into := sent % (4 * time.Second); into >= 3*time.Second {
				want = sent - into + 4*time.Second
			}
			if at := p.at.Sub(began); at != want {
				t.Errorf("the packet that was sent after %v arrived after %v, want %v", sent, at, want)
			}
		}
	})
}

func TestStallHoldsPacketsOnce(t *testing.T) {
	path(t, 1, func(t *testing.T, r *relay.Relay, a, b *end) {
		began := time.Now()
		r.Stall(time.Second)
		a.sent <- packet(1, 0)
		time.Sleep(2 * time.Second)
		a.sent <- packet(1, 1)
		all := b.arrivals()
		if len(all) != 2 || all[0].at.Sub(began) != time.Second || all[1].at.Sub(began) != 2*time.Second {
			t.Errorf("arrived: %v, began %v", all, began)
		}
	})
}

func TestPacketsThatFindNoPlaceOrAreNotIPv4AreDroppedAndCounted(t *testing.T) {
	path(t, 1, func(t *testing.T, r *relay.Relay, a, b *end) {
		set(t, r, relay.Weather{Delay: time.Second})
		for i := range relay.MostWaiting + 10 {
			a.sent <- packet(1, i)
		}
		a.sent <- []byte{0x60, 1, 2, 3}
		synctest.Wait()
		out, in := r.Stats()
		if out.Waiting != relay.MostWaiting || out.Overflow != 10 || out.Foreign != 1 || in != (relay.Stats{}) {
			t.Errorf("%+v, %+v", out, in)
		}
		time.Sleep(time.Second)
		if n := len(b.arrivals()); n != relay.MostWaiting {
			t.Errorf("%d arrived", n)
		}
	})
}

func TestWeatherThatCannotBeIsRefusedAndChangesNothing(t *testing.T) {
	path(t, 1, func(t *testing.T, r *relay.Relay, a, b *end) {
		for _, w := range []relay.Weather{
			{Delay: -1},
			{Jitter: relay.MostDelay + 1},
			{Loss: 1.1},
			{Loss: math.NaN()},
			{Freeze: time.Second},
			{Every: time.Second},
			{Freeze: 2 * time.Second, Every: time.Second},
		} {
			if err := r.Set(w); err == nil {
				t.Errorf("%+v was taken", w)
			}
		}
		a.sent <- packet(1, 0)
		if n := len(b.arrivals()); n != 1 {
			t.Errorf("%d packets arrived, want the one", n)
		}
	})
}
