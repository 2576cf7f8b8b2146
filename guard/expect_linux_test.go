package guard_test

import (
	"net"
	"testing"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
)

// expect sends a question, and gives how long it took until the connection was given up.
func expect(t *testing.T, nc net.Conn, g *guard.Conn, limit time.Duration) (took time.Duration, stopped bool) {
	t.Helper()
	began := time.Now()
	stop := g.Expect(limit)
	if _, err := nc.Write([]byte("ping")); err != nil {
		t.Fatal(err)
	}
	_ = nc.SetReadDeadline(began.Add(3 * time.Second))
	_ = readByte(nc)
	took = time.Since(began)
	return took, stop()
}

func TestQuestionThatDoesNotArriveIsGivenUpEarly(t *testing.T) {
	t.Parallel()
	nc, g, s := pair(t, guard.SQL)
	if !possible(t, blackHole(s), filter) {
		return
	}
	took, stopped := expect(t, nc, g, time.Second)
	if d, dead := g.Death(); !dead || d.Cause != conn.Heartbeat || stopped || took > 500*time.Millisecond {
		t.Errorf("given up after %v (%v), stopped %v; want less than 500 ms and cause heartbeat", took, d, stopped)
	}
}

func TestQuestionThatArrivesHasItsWholeTime(t *testing.T) {
	t.Parallel()
	nc, g, _ := pair(t, guard.SQL) // whose kernel acknowledges, and who never answers
	took, stopped := expect(t, nc, g, time.Second)
	if _, dead := g.Death(); !dead || stopped || took < time.Second {
		t.Errorf("given up after %v, stopped %v; want the whole second", took, stopped)
	}
}

func TestAnsweredQuestionLeavesTheConnectionAlone(t *testing.T) {
	t.Parallel()
	for _, limit := range []time.Duration{200 * time.Millisecond, time.Second} {
		nc, g, s := pair(t, guard.SQL)
		go func() {
			_ = readByte(s)
			time.Sleep(100 * time.Millisecond)
			_, _ = s.Write([]byte("."))
		}()
		if took, stopped := expect(t, nc, g, limit); !stopped {
			t.Errorf("an answer after %v, of %v, was too late", took, limit)
		}
		time.Sleep(limit + 100*time.Millisecond)
		if d, dead := g.Death(); dead {
			t.Errorf("dead all the same: %v", d)
		}
	}
}
