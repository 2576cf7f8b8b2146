//go:build linux

package soak_test

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/faultlab/netns"
	"herz.example/herz/faultlab/relay"
	"herz.example/herz/faultlab/server"
	"herz.example/herz/guard"
	"herz.example/herz/herztest"
	"herz.example/herz/pool"
)

const table = "CREATE TABLE soak (mode VARCHAR(20), session BIGINT, size BIGINT)"

// eachKind runs a soak for each product, side by side.
func eachKind(t *testing.T, soak func(t *testing.T, k server.Kind)) {
	t.Helper()
	t.Parallel()
	for _, k := range server.Kinds {
		t.Run(k.String(), func(t *testing.T) {
			t.Parallel()
			soak(t, k)
		})
	}
}

// weather soaks under a path of the relay.
func weather(t *testing.T, soak string, w relay.Weather, felt time.Duration) {
	t.Helper()
	const conns = 4
	eachKind(t, func(t *testing.T, k server.Kind) {
		n := netns.New(t)
		r, err := relay.Open(n, *seed)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		})
		s := server.Start(t, k, server.Options{IP: n.IP(), Listen: "0.0.0.0", Enter: n.Do})
		do(t, s, table)
		through := net.JoinHostPort(r.IP(), strconv.Itoa(s.Port))
		clients := openClients(t, soak, k, s.DSNOf(server.Access{Addr: through}), setting{conns: conns, guard: guard.SQL})
		begin := make(chan struct{})
		for _, c := range clients {
			c.keep(t, 50*time.Millisecond, begin)
		}
		began, stood := time.Now(), watch(t)
		if err := r.Set(w); err != nil {
			t.Error(err)
		}
		close(begin)
		time.Sleep(*length)
		if err := r.Set(relay.Weather{}); err != nil { // for the last calls
			t.Fatal(err)
		}
		took := time.Since(began).Seconds()
		out, in := r.Stats()
		path := fmt.Sprintf("%+v; packets to the server: %+v; back: %+v", w, out, in)
		for _, c := range clients {
			row := c.finish(t, took, path, stood, s)
			c.judge(t, row, false)
			if row.Longest < float64(felt.Milliseconds()) {
				t.Errorf("%s: the longest call took %.0f ms: the weather was not felt and the soak shows nothing", c.mode, row.Longest)
			}
		}
		if out.Overflow+in.Overflow > 0 || (w.Loss > 0 && (out.Lost == 0 || in.Lost == 0)) {
			t.Errorf("the path was another than the one asked for: %s", path)
		}
	})
}

func TestRoundTripsOfUpToTwoSecondsEndNoConnection(t *testing.T) {
	weather(t, "2 s jitter", relay.Weather{Jitter: time.Second}, 500*time.Millisecond)
}

func TestFreezesOfASecondEndNoConnection(t *testing.T) {
	weather(t, "1 s freezes", relay.Weather{Freeze: time.Second, Every: 4 * time.Second}, 700*time.Millisecond)
}

func TestLossOfOnePacketInTwentyEndsNoConnection(t *testing.T) {
	weather(t, "5 % loss", relay.Weather{Loss: 0.05}, 100*time.Millisecond)
}

func TestServerThatReadsNothingWhileWeWriteIsNotCut(t *testing.T) {
	const (
		conns = 2
		size  = 16 << 20 // more than the buffers of both kernels hold
	)
	asleep, awake := 30*time.Second, 10*time.Second
	if *length < asleep+awake {
		asleep, awake = max(*length, 4*time.Second), 5*time.Second // still longer than the guard waits for a dead peer
	}
	eachKind(t, func(t *testing.T, k server.Kind) {
		var settings []string
		if k == server.MariaDB {
			settings = []string{"max_allowed_packet=64M"}
		}
		n := netns.New(t)
		s := server.Start(t, k, server.Options{IP: n.IP(), Enter: n.Do, Settings: settings})
		do(t, s, table)
		clients := openClients(t, "bulk, nobody reads", k, s.DSN(), setting{conns: conns, guard: guard.SQL})
		count := map[server.Kind]string{server.MariaDB: "LENGTH(?)", server.PostgreSQL: "length($1::bytea)"}[k]
		bulk := bytes.Repeat([]byte("x"), size)
		begin := make(chan struct{})
		for _, c := range clients {
			c.work = func(c *client, on speaker, _ int) error { return c.write(on, count, bulk) }
			c.keep(t, 10*time.Millisecond, begin)
		}
		began, stood := time.Now(), watch(t)
		close(begin)
		for frozen := 0; frozen == 0 || time.Since(began) < *length; frozen++ {
			time.Sleep(awake / 5)
			if err := s.Freeze(); err != nil {
				t.Error(err)
			}
			time.Sleep(asleep)
			if err := s.Thaw(); err != nil {
				t.Error(err)
			}
			time.Sleep(awake * 4 / 5)
		}
		took := time.Since(began).Seconds()
		for _, c := range clients {
			row := c.finish(t, took, fmt.Sprintf("frozen for %v at a time", asleep), stood, s)
			c.judge(t, row, false)
			if row.Longest < float64((asleep - time.Second).Milliseconds()) {
				t.Errorf("%s: the longest write took %.0f ms: it never waited for the server and the soak shows nothing", c.mode, row.Longest)
			}
		}
	})
}

func TestThreeServersBehindOneNameAreNoFailOver(t *testing.T) {
	const (
		conns = 6
		port  = 4000
		host  = "db.test"
	)
	eachKind(t, func(t *testing.T, k server.Kind) {
		r := netns.NewRouter(t, 3)
		var servers []*server.Server
		var to []netip.AddrPort
		for i := range 3 {
			n := r.Behind(i)
			s := server.Start(t, k, server.Options{IP: n.IP(), Enter: n.Do})
			do(t, s, table)
			servers, to = append(servers, s), append(to, netip.MustParseAddrPort(s.Addr()))
		}
		if err := r.Lead(port, to...); err != nil {
			t.Fatal(err)
		}
		names := herztest.NewNameServer(t)
		names.Set(host, r.IP())
		g := guard.SQL
		g.Resolver = names.Resolver()
		// Connections live for a short time, so that dials meet all servers again and again, and rest long enough to be asked who answers.
		l := pool.Limits{MaxLifetime: 3 * time.Second, MaxLifetimeJitter: 2 * time.Second, PingAfter: 200 * time.Millisecond}
		// What else ends a connection is no fail-over: on a machine that stands still for a quarter of a second a ping is given up.
		others := []conn.Cause{conn.MaxLifetime, conn.Heartbeat, conn.PeerFIN}
		dsn := servers[0].DSNOf(server.Access{Addr: net.JoinHostPort(host, strconv.Itoa(port))})
		clients := openClients(t, "3 servers, 1 name", k, dsn, setting{conns, l, g, others})
		began, stood := time.Now(), watch(t)
		for _, c := range clients {
			c.borrow(conns/2, 20*time.Millisecond)
			c.borrow(conns/2, 300*time.Millisecond)
		}
		time.Sleep(*length)
		took := time.Since(began).Seconds()
		for _, c := range clients {
			row := c.finish(t, took, "each dial leads to the next of three servers", stood, servers...)
			c.judge(t, row, true)
			for i, s := range servers {
				if n := count(t, s, "SELECT COUNT(*) FROM soak WHERE mode = '"+c.mode+"'"); n == 0 {
					t.Errorf("%s: server %d was never met and the soak shows nothing", c.mode, i)
				}
			}
		}
		if n := names.Asked(host); n == 0 {
			t.Error("the name was never resolved")
		}
	})
}
