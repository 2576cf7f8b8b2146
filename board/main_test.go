package board_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"herz.example/herz/board"
	"herz.example/herz/conn"
	"herz.example/herz/pool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var _ board.Source = (*pool.Pool[int])(nil)

// still is a source whose numbers never change.
type still struct {
	name  string
	asked atomic.Int64
}

func (s *still) Name() string { return s.name }

func (s *still) Stats() pool.Stats {
	s.asked.Add(1)
	return pool.Stats{
		Name: s.name, Generation: 2, Open: 15, Idle: 1, Checking: 2, InUse: 3, Stale: 4, Closing: 5, Leases: 6, Dialing: 7, Waiting: 8,
		OldestWait: 1500 * time.Millisecond, Acquires: 9, Waits: 10, WaitTimeouts: 11, WaitCancels: 12, WaitRefused: 13,
		WaitTime: 14 * time.Second, WaitCounts: [13]uint64{1, 2, 12: 7}, Dials: 15, DialErrors: 16, LastDialError: "connection refused", Heartbeats: 17, HeartbeatErrs: 18,
		Misuses: 19, Closed: map[conn.Cause]uint64{conn.PeerFIN: 20, conn.MaxIdle: 21},
	}
}

func (s *still) Snapshot() []pool.ConnInfo {
	return []pool.ConnInfo{
		{
			ID: 1, State: conn.InUse, Peer: "192.0.2.1:5432", Identity: "primary", Generation: 2, Age: time.Minute,
			Held: 250 * time.Millisecond, Uses: 3, Leases: 1, LastHeartbeat: time.Millisecond, Holder: "main.load",
		},
		{ID: 2, State: conn.Stale, Peer: "192.0.2.1:5432", Generation: 1, Age: time.Hour, Idle: 2 * time.Second, Cause: conn.PeerRST},
	}
}

func (s *still) Deaths() []conn.Death {
	return []conn.Death{{
		ID: 3, Pool: s.name, Peer: "192.0.2.1:5432", Cause: conn.PeerRST, Age: time.Minute, Idle: time.Second, Phase: "processing",
		BytesSent: 42, Errno: syscall.ECONNRESET, Detail: "shutting down",
	}}
}

func (s *still) Unasked() []conn.Unasked {
	return []conn.Unasked{{
		Site: "main.load load.go:7", Count: 22, Last: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Death: conn.Death{ID: 4, Peer: "192.0.2.1:5432", Cause: conn.PeerFIN, Age: time.Second, Phase: "transfer"},
	}}
}

func (s *still) Limits() pool.Limits {
	return pool.Limits{
		MaxOpen: 1, MinIdle: 2, KeepWarm: 3, KeepWarmElastic: 0.8, MaxWaiters: 4, MaxDialing: 5, MaxClosing: 6, MaxUses: 7,
		MaxLifetime: 8 * time.Second, MaxLifetimeJitter: 9 * time.Second, MaxIdleTime: 10 * time.Second, HeartbeatEvery: 11 * time.Second,
		HeartbeatTimeout: 3200 * time.Millisecond, PingAfter: 13 * time.Second, AcquireTimeout: 14 * time.Second,
		LeakAfter: 15 * time.Second, TestOnBorrow: true, ReconnectPerSecond: 16,
	}
}

// serve runs a board on the loopback interface until the test ends.
func serve(t *testing.T, b *board.Board) string {
	t.Helper()
	s := httptest.NewServer(b)
	t.Cleanup(s.Close)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	return s.URL
}

// answer is what a board says to one request.
type answer struct {
	Status int
	Header http.Header
	Body   string
}

// ask gives the answer of a board to one request, as a caller on the loopback interface would get it.
func ask(b http.Handler, method, target string, change ...func(*http.Request)) answer {
	r := httptest.NewRequest(method, target, http.NoBody)
	r.RemoteAddr, r.Host = "127.0.0.1:50000", "localhost:6060"
	for _, f := range change {
		f(r)
	}
	w := httptest.NewRecorder()
	b.ServeHTTP(w, r)
	return answer{w.Code, w.Header(), w.Body.String()}
}
