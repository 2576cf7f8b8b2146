package herzws_test

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"herz.example/herz/herzws"
)

func TestPeerWhoseUpgradesFailIsOfferedLegacyAloneAndProbedBack(t *testing.T) {
	onEach(t, func(t *testing.T, e herzws.Engine) {
		j := new(journal)
		s, addr := serve(t, herzws.Config{
			Engine: e, Logger: jsonLog(j), CloseTimeout: time.Second,
			Failing: herzws.Failing{Threshold: 3, Window: time.Hour, LegacyFor: 400 * time.Millisecond},
		})
		mine := "X-Device-Id: meter-1"
		send(t, request(addr, mine, "Sec-WebSocket-Key: short"), addr)
		send(t, request(addr, mine, "Sec-WebSocket-Version: 8"), addr)
		p := open(t, addr, mine)
		p.write(part{op: text, rsv: 4}.bytes(true))
		p.expect("close 1002", "end")
		eventually(t, "the third failure", func() bool { return s.Stats().FailingOffered == 1 })
		began := time.Now()
		if res := send(t, request(addr, mine), addr); res.StatusCode != http.StatusOK || res.Header.Get(herzws.HeaderInterval) == "" {
			t.Errorf("it is offered %s", res.Status)
		}
		if res := head(t, addr, mine); res.StatusCode != http.StatusOK {
			t.Errorf("its heartbeat is answered %s", res.Status)
		}
		if all := s.Failing(); len(all) != 1 || all[0].Peer != "meter-1" || !all[0].Legacy || all[0].Failures != 3 || !strings.Contains(all[0].Last, "5.2") {
			t.Errorf("%+v", all)
		}
		if st := s.Stats(); st.Failing != 1 || st.Legacy != 1 || !strings.Contains(j.String(), "legacy keep-alive alone") {
			t.Errorf("%+v\n%s", st, j)
		}
		if res := send(t, request(addr, "X-Device-Id: meter-2"), addr); res.StatusCode != http.StatusSwitchingProtocols {
			t.Errorf("another device behind the same address is offered %s", res.Status)
		}
		eventually(t, "the end of its time", func() bool { return s.Stats().Failing == 0 })
		if took := time.Since(began); took < 100*time.Millisecond {
			t.Errorf("it was held back for %v", took)
		}
		send(t, request(addr, mine, "Sec-WebSocket-Key: short"), addr) // one failure is enough now, and for twice as long
		if st := s.Stats(); st.FailingProbes != 1 || st.FailingOffered != 2 || st.Failing != 1 {
			t.Errorf("%+v", st)
		}
		eventually(t, "the end of its second time", func() bool { return s.Stats().Failing == 0 })
		p = open(t, addr, mine)
		p.write(frame(ws.OpPing, "well"))
		p.expect("pong well")
		if st := s.Stats(); st.FailingBack != 1 || len(s.Failing()) != 0 {
			t.Errorf("%+v, %+v", st, s.Failing())
		}
	})
}

func TestSuccessBetweenFailuresClearsTheAccount(t *testing.T) {
	s, addr := serve(t, herzws.Config{Logger: quiet(), Failing: herzws.Failing{Threshold: 2}})
	for range 5 {
		send(t, request(addr, "Sec-WebSocket-Key: short"), addr)
		p := open(t, addr)
		p.write(frame(ws.OpPing, "well"))
		p.expect("pong well")
	}
	if st := s.Stats(); st.FailingOffered != 0 || st.BadHandshakes != 5 {
		t.Errorf("%+v", st)
	}
}

// A handshake that begins and fails is a failure of the peer's address; a connection that says nothing, as a balancer's check, is none.
func TestPeerWhoseTLSFailsIsOfferedLegacyAlone(t *testing.T) {
	s := &herzws.Server{Config: herzws.Config{Logger: quiet(), Failing: herzws.Failing{Threshold: 3}}}
	web := httptest.NewUnstartedServer(s)
	web.TLS = s.TLSConfig(&tls.Config{MinVersion: tls.VersionTLS13})
	var states []http.ConnState
	web.Config.ConnState = s.ConnState(func(_ net.Conn, st http.ConnState) {
		if st == http.StateHijacked {
			states = append(states, st)
		}
	})
	web.Config.ErrorLog = nil
	web.StartTLS()
	t.Cleanup(func() { _ = s.Shutdown(soon(t)); web.Close() })
	addr := web.Listener.Addr().String()
	for range 10 {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = nc.Close()
	}
	for range 3 { // of an old device
		if _, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}); err == nil { //nolint:gosec // that is the point
			t.Fatal("an old version was taken")
		}
	}
	eventually(t, "three failures", func() bool { return s.Stats().TLSFailed == 3 })
	nc, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // a test's own certificate
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(within))
	if res := (&peer{t, nc, newReader(nc)}).ask(request("example")); res.StatusCode != http.StatusOK || res.Header.Get(herzws.HeaderInterval) == "" {
		t.Errorf("it is offered %s", res.Status)
	}
	if s.Stats().TLSFailed != 3 || s.Stats().Failing != 1 || len(states) != 0 {
		t.Errorf("%+v", s.Stats())
	}
}
