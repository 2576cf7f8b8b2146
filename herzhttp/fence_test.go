package herzhttp_test

import (
	"testing"
	"time"

	"herz.example/herz/herzhttp"
)

func TestIdleTimeoutThatTheServerHasRaisedIsLearnedAnew(t *testing.T) {
	var f herzhttp.Fence
	died := func(rest time.Duration) {
		f.Pass(time.Minute)
		f.Died(rest, 7)
	}
	for range 3 {
		died(5 * time.Second)
	}
	if got := f.Limit(); got != 4*time.Second {
		t.Fatalf("after three deaths at 5 s connections are used for %v", got)
	}
	for range 20 {
		died(time.Minute)
		f.Limit() // somebody wants a connection
	}
	if got := f.Limit(); got != 48*time.Second {
		t.Errorf("after twenty minutes in which they died at 1 min connections are used for %v", got)
	}
}

func TestIdleTimeoutIsKeptInMindWhileConnectionsDieOfIt(t *testing.T) {
	var f herzhttp.Fence
	for i := range 20 {
		f.Pass(9 * time.Minute)
		f.Died(time.Duration(5000+i%3*100)*time.Millisecond, 7)
		if got := f.Limit(); i >= 2 && got != 4*time.Second {
			t.Fatalf("after %d deaths at 5 s, one each 9 min, connections are used for %v", i+1, got)
		}
	}
	f.Pass(11 * time.Minute)
	if got := f.Limit(); got != 0 {
		t.Errorf("11 min after the last one they are used for %v", got)
	}
}

func TestEndOfAConnectionThatHadServedOftenIsNotTakenForAnIdleTimeoutOfNoTime(t *testing.T) {
	var often, once herzhttp.Fence
	for range 10 {
		for _, f := range []*herzhttp.Fence{&often, &once} {
			f.Pass(time.Second)
		}
		often.Died(time.Millisecond, 100) // it takes so many requests of each
		once.Died(time.Millisecond, 1)    // it ends each after its answer, and does not say so
	}
	if got := often.Limit(); got != 0 {
		t.Errorf("connections that take 100 requests are used for a rest of %v", got)
	}
	if got := once.Limit(); got <= 0 || got >= time.Millisecond {
		t.Errorf("connections that take one request are used for a rest of %v", got)
	}
}
