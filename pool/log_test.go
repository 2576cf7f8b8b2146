package pool_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/pool"
)

func TestLostConnectionIsALineAndAPlannedEndIsNone(t *testing.T) {
	var out bytes.Buffer
	l := pool.NewLog(slog.New(slog.NewTextHandler(&out, nil)))
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	end := func(c conn.Cause, sent int64) {
		l.Observe(pool.Event{Kind: pool.ConnectionClosed, At: at, Pool: "orders", Death: &conn.Death{ID: 7, Peer: "db:3306", Cause: c, BytesSent: sent, Idle: 300 * time.Second}})
	}
	end(conn.MaxLifetime, 0)
	l.Observe(pool.Event{Kind: pool.Heartbeat, At: at})
	if out.Len() > 0 {
		t.Fatalf("logged %s", &out)
	}
	end(conn.PeerRST, 0)
	end(conn.Unacked, 12)
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 {
		t.Fatalf("%d lines: %s", len(lines), &out)
	}
	for i, facts := range [][]string{
		{"level=WARN", "pool=orders", "conn=7", "peer=db:3306", "cause=peer_rst", "idle=5m0s", "bytes_sent=0", "retry_safe=true", "hint="},
		{"cause=unacked", "bytes_sent=12", "retry_safe=false"},
	} {
		for _, fact := range facts {
			if !strings.Contains(lines[i], fact) {
				t.Errorf("no %s in %s", fact, lines[i])
			}
		}
	}
}

func TestStormOfDeathsIsTenLinesASecondAndANumber(t *testing.T) {
	var out bytes.Buffer
	l := pool.NewLog(slog.New(slog.NewTextHandler(&out, nil)))
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for range 25 {
		l.Observe(pool.Event{Kind: pool.ConnectionClosed, At: at, Pool: "orders", Death: &conn.Death{Cause: conn.PeerFIN}})
	}
	if n := strings.Count(out.String(), "connection lost"); n != 10 {
		t.Errorf("%d lines in one second", n)
	}
	l.Observe(pool.Event{Kind: pool.Heartbeat, At: at.Add(time.Second), Pool: "orders"})
	if !strings.Contains(out.String(), "suppressed=15") {
		t.Errorf("fifteen were left out and nobody says so: %s", &out)
	}
}
