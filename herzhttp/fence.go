package herzhttp

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"herz.example/herz/conn"
)

// fence keeps requests off connections that the peer is about to close. It learns after how long the peer closes idle ones from the ages at which it did.
// package ceiling learns the same for people, over minutes; this is for the next request. Where the peer says it itself, by Keep-Alive: timeout=N, see obey.
type fence struct {
	most  atomic.Int64 // the idle time up to which a connection is used; 0: not known
	until atomic.Int64 // by clock: when that is forgotten

	// mu guards what follows. Nothing is called under it.
	mu        sync.Mutex
	ages      []time.Duration // idle times at death, the newest last
	learned   time.Duration   // the shortest age that they agreed on; 0: none
	lastDeath int64           // by clock
}

const (
	// fenceShare is the part of the peer's idle time-out for which a connection is used. The rest is for the way, and is never less than fenceLeast: so long
	// a busy process may take from the decision to the write.
	fenceShare = 0.8
	fenceLeast = 2 * time.Millisecond
	// agesKept is how many deaths are remembered, and agesAgree how many of them must agree.
	agesKept, agesAgree = 8, 3
	// ageSlack is how far ages may lie apart where a tenth is less.
	ageSlack = time.Millisecond
	// sameMoment is how near to each other deaths are one: a restart ends connections of all ages at once.
	sameMoment = int64(time.Millisecond)
	// fenceLasts is for how long what was learned from deaths holds after the last one that bears it out.
	fenceLasts = 10 * time.Minute
)

// limit is the idle time past which a connection is not used, or 0.
func (f *fence) limit() time.Duration {
	most := f.most.Load()
	if most == 0 {
		return 0
	}
	if clock() > f.until.Load() {
		f.forget()
		return time.Duration(f.most.Load())
	}
	return time.Duration(most)
}

func (f *fence) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ages, f.learned = nil, 0
	f.most.Store(0)
}

// learn hears of a connection that ended, and how often it was lent. Those that the peer closed while they rested tell something.
func (f *fence) learn(d *conn.Death, uses uint64) {
	if d.Cause != conn.PeerFIN && d.Cause != conn.PeerRST || d.Phase != "idle" || d.Idle <= 0 {
		return
	}
	if d.Idle <= fenceLeast && uses > 1 {
		return // no peer closes what rests for so short a time, and serves it several times: it takes so many requests of each, or was restarted
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	now := clock()
	if now-f.lastDeath < sameMoment && len(f.ages) > 0 {
		last := &f.ages[len(f.ages)-1]
		*last = max(*last, d.Idle)
	} else {
		f.ages = append(f.ages, d.Idle)
	}
	if len(f.ages) > agesKept {
		f.ages = f.ages[1:]
	}
	f.lastDeath = now
	f.settleLocked(d.Idle, now)
}

// settleLocked works out the limit after a death at some age. What was learned lasts on by deaths up to twice as old only, as those of a peer are that looks
// now and then: older ones say that it keeps connections for longer now.
func (f *fence) settleLocked(age time.Duration, now int64) {
	if seen := agreed(f.ages); seen > 0 && (f.learned == 0 || seen < f.learned) {
		f.learned = seen
	} else if age > 2*f.learned {
		return
	}
	f.until.Store(now + int64(fenceLasts))
	f.most.Store(int64(usedOf(f.learned)))
}

// usedOf is the idle time up to which a connection is used that its peer closes after timeout; 0: it is not known when it does.
func usedOf(timeout time.Duration) time.Duration {
	if timeout <= 0 {
		return 0
	}
	return max(1, min(time.Duration(float64(timeout)*fenceShare), timeout-fenceLeast))
}

// leastOf is the smaller of two limits, of which 0 is none.
func leastOf(a, b time.Duration) time.Duration {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}

// agreed is the shortest age at which at least agesAgree connections died, within a tenth or ageSlack; 0 when there is none. Those that died older had been
// overlooked by a peer that looks now and then.
func agreed(ages []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(ages))
	for i := 0; i+agesAgree <= len(sorted); i++ {
		if first := sorted[i]; sorted[i+agesAgree-1]-first <= max(first/10, ageSlack) {
			return first
		}
	}
	return 0
}
