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

func TestFailuresWithoutANameHoldNoNamedDeviceBehindTheAddressBack(t *testing.T) {
	s, addr := serve(t, herzws.Config{Logger: quiet()})
	for range 5 {
		send(t, request(addr, "Sec-WebSocket-Key: short"), addr)
	}
	if res := send(t, request(addr), addr); res.StatusCode != http.StatusOK || s.Stats().FailingOffered != 1 {
		t.Errorf("who has no name is offered %s", res.Status)
	}
	p := open(t, addr, "X-Device-Id: meter-7")
	p.write(frame(ws.OpPing, "well"))
	p.expect("pong well")
	if st := s.Stats(); st.Failing != 1 || st.FailingBack != 0 {
		t.Errorf("the success of one that has a name: %+v", st)
	}
}

func TestFailuresUnderANameFromElsewhereDoNotHoldTheDeviceBack(t *testing.T) {
	s, addr := serve(t, herzws.Config{Logger: quiet()})
	mine := "X-Device-Id: meter-7"
	for range 5 {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
		nc, err := d.DialContext(soon(t), "tcp", addr)
		if err != nil {
			t.Fatalf("a second address of this machine is needed, 127.0.0.2: %v", err)
		}
		_ = nc.SetDeadline(time.Now().Add(within))
		(&peer{t, nc, newReader(nc)}).ask(request(addr, mine, "Sec-WebSocket-Key: short"))
		_ = nc.Close()
	}
	open(t, addr, mine)
	if all := s.Failing(); len(all) != 1 || all[0].Peer != "meter-7" || all[0].Addr != "127.0.0.2" || !all[0].Legacy {
		t.Errorf("%+v", all)
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
	for _, name := range []string{"", "X-Device-Id: meter-1\r\n"} { // the handshake that failed told no name
		old, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // see above
		if err != nil {
			t.Fatal(err)
		}
		defer old.Close()
		_ = old.SetDeadline(time.Now().Add(within))
		if res := (&peer{t, old, newReader(old)}).ask("HEAD /ws HTTP/1.1\r\nHost: example\r\n" + name + "\r\n"); res.StatusCode != http.StatusOK {
			t.Errorf("its heartbeat, with %q, is answered %s", name, res.Status)
		}
	}
	if s.Stats().TLSFailed != 3 || s.Stats().Failing != 1 || len(states) != 0 {
		t.Errorf("%+v", s.Stats())
	}
}

// Its newest failure ends in TLS, so that no upgrade of it is ever let through as a probe.
func TestPeerWhoseTLSFailsAfterItsTimeIsHeldBackAgain(t *testing.T) {
	s := &herzws.Server{Config: herzws.Config{Logger: quiet(), Failing: herzws.Failing{Threshold: 3, LegacyFor: 200 * time.Millisecond}}}
	web := httptest.NewUnstartedServer(s)
	web.TLS = s.TLSConfig(&tls.Config{MinVersion: tls.VersionTLS13})
	web.Config.ConnState = s.ConnState(nil)
	web.StartTLS()
	t.Cleanup(func() { _ = s.Shutdown(soon(t)); web.Close() })
	fail := func() {
		if _, err := tls.Dial("tcp", web.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}); err == nil { //nolint:gosec // that is the point
			t.Fatal("an old version was taken")
		}
	}
	for range 3 {
		fail()
	}
	eventually(t, "three failures", func() bool { return s.Stats().FailingOffered == 1 })
	eventually(t, "the end of its time", func() bool { return s.Stats().Failing == 0 })
	fail()
	eventually(t, "the fourth failure", func() bool { return s.Stats().TLSFailed == 4 })
	eventually(t, "its second time", func() bool { return s.Stats().FailingOffered == 2 })
}
