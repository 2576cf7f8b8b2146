package herzsql_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"herz.example/herz/guard"
	"herz.example/herz/herzsql"
	"herz.example/herz/pool"
)

// page is a writer that may be read while it is written.
type page struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (p *page) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.b.Write(b)
}

func (p *page) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.b.String()
}

func TestLostConnectionIsAWarningWithItsFacts(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		s := newServer(t)
		out := new(page)
		log := slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelWarn}))
		db, err := m.open("fake", s.listener.Addr().String(), herzsql.WithName("orders"), herzsql.WithLogger(log), herzsql.WithLimits(pool.Limits{MaxOpen: 16}))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		fill(t, db, 16)
		if out.String() != "" {
			t.Errorf("logged while nothing was lost: %s", out)
		}
		s.hangUp()
		s.awaitDeaths(t)
		eventually(t, "ten lines", func() bool { return strings.Count(out.String(), "connection lost") == 10 })
		for _, fact := range []string{"pool=orders", "cause=peer_fin", "peer=" + s.listener.Addr().String(), "bytes_sent=", "phase=", "retry_safe=true", "hint=", "level=WARN"} {
			if !strings.Contains(out.String(), fact) {
				t.Errorf("no %s in %s", fact, out)
			}
		}
		eventually(t, "the rest is counted", func() bool {
			if err := db.Ping(); err != nil {
				t.Fatal(err)
			}
			_ = herzsql.SetLimits(db, pool.Limits{MaxOpen: 16})
			return strings.Contains(out.String(), "suppressed=6")
		})
	})
}

func TestPlannedCloseIsNoWarning(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		s := newServer(t)
		out := new(page)
		c := newConnector(s.listener.Addr().String(), &guard.Dialer{Options: guard.SQL})
		open := herzsql.OpenConnector
		if m.name == "pooled" {
			open = herzsql.OpenPooledConnector
		}
		db, err := open(c, herzsql.WithLogger(slog.New(slog.NewTextHandler(out, nil))))
		if err != nil {
			t.Fatal(err)
		}
		fill(t, db, 3)
		_ = db.Close()
		eventually(t, "the server sees its connections closed", func() bool { return s.open() == 0 })
		if out.String() != "" {
			t.Errorf("a planned close was logged: %s", out)
		}
	})
}
