package guard_test

import (
	"io"
	"sync/atomic"
	"testing"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
)

// awaited are the options of a multiplexed connection whose user says when somebody waits.
func awaited(waits *atomic.Bool) guard.Options {
	return guard.Options{Multiplexed: true, HeartbeatTimeout: guard.MinHeartbeatTimeout, Awaited: waits.Load}
}

// A stream that waits for a long time after the newest frame of its connection is told of a black hole as soon as a call is.
func TestBlackHoleEndsAStreamThatWaitsForLong(t *testing.T) {
	t.Parallel()
	var waits atomic.Bool
	waits.Store(true)
	nc, g, s := pair(t, awaited(&waits))
	ask(t, nc, s)
	answer(t, nc, s) // a frame for another stream: the newest byte is the peer's
	read := make(chan error, 1)
	go func() { read <- readByte(nc) }()
	time.Sleep(2*guard.MinHeartbeatTimeout + 500*time.Millisecond) // longer than a reader in mid-answer is believed
	if !possible(t, blackHole(s), filter) {
		nc.Close()
		<-read
		return
	}
	start := time.Now()
	if err := <-read; err == nil {
		t.Fatal("a byte came out of a black hole")
	}
	if took := time.Since(start); took > guard.MinHeartbeatTimeout {
		t.Errorf("ended after %v", took)
	}
	if d, _ := g.Death(); d.Cause != conn.KeepAlive {
		t.Errorf("death %v", d)
	}
}

// A connection on which nobody waits is left alone, although its newest byte is ours (the acknowledgement of a ping) and a reader rests in Read.
func TestNobodyWaitsIsNotSwept(t *testing.T) {
	var waits atomic.Bool
	nc, g, s := pair(t, awaited(&waits))
	read := make(chan error, 1)
	go func() { read <- readByte(nc) }()
	waits.Store(true)
	ask(t, nc, s)
	eventually(t, "keep-alive is armed", func() bool { return guard.Armed(g) })
	waits.Store(false)
	eventually(t, "the sweep has ended", func() bool { return !guard.Sweeping() })
	if guard.Armed(g) {
		t.Error("keep-alive is on for a connection on which nobody waits")
	}
	waits.Store(true)
	ask(t, nc, s)
	eventually(t, "the next request is looked at", func() bool { return guard.Armed(g) })
	if _, err := io.WriteString(s, "x"); err != nil {
		t.Fatal(err)
	}
	if err := <-read; err != nil {
		t.Fatal(err)
	}
}
