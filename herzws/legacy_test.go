package herzws_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"herz.example/herz/herzws"
)

// head sends a heartbeat, on a connection of its own.
func head(t *testing.T, addr string, headers ...string) answer {
	t.Helper()
	return send(t, "HEAD /ws HTTP/1.1\r\nHost: "+addr+"\r\nConnection: close\r\n"+strings.Join(append(headers, ""), "\r\n")+"\r\n", addr)
}

func send(t *testing.T, text, addr string) answer {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(within))
	return (&peer{t, nc, newReader(nc)}).ask(text)
}

func TestLegacyHeartbeatIsAnsweredAsTheArticleSays(t *testing.T) {
	s, addr := serve(t, herzws.Config{Logger: quiet()})
	if res := head(t, addr); res.StatusCode != http.StatusUpgradeRequired || res.Header.Get(herzws.HeaderInterval) != "" {
		t.Errorf("off: %s", res.Status)
	}
	s.Switch().SetEnableLegacyKeepAlive(true)
	for range 3 {
		res := head(t, addr, "X-Device-Id: meter-1")
		if res.StatusCode != http.StatusOK || res.Header.Get("X-Heartbeat-Interval") != "30s" {
			t.Errorf("on: %s, %q", res.Status, res.Header.Get("X-Heartbeat-Interval"))
		}
	}
	d, ok := s.Device("meter-1")
	if !ok || d.Mode != herzws.Legacy || d.Class != "/ws" || s.Stats().Legacy != 1 || s.Stats().Heartbeats != 3 {
		t.Errorf("%+v; %+v", d, s.Stats())
	}
	if res := send(t, request(addr, "X-Device-Id: meter-1"), addr); res.StatusCode != http.StatusOK || res.Header.Get("X-Heartbeat-Interval") != "30s" {
		t.Errorf("an upgrade while it is on: %s", res.Status)
	}
	if s.Stats().LegacyOffered != 1 || s.Stats().Legacy != 1 {
		t.Errorf("%+v", s.Stats())
	}
}

func TestWhatIsNoHeartbeatGoesToTheNextHandler(t *testing.T) {
	s := &herzws.Server{Config: herzws.Config{Logger: quiet()}}
	s.Switch().SetEnableLegacyKeepAlive(true)
	addr := listen(t, s, s.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "next "+r.URL.Path) })))
	res, err := http.Get("http://" + addr + "/orders") //nolint:noctx // a test
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer res.Body.Close()
	if b, err := io.ReadAll(res.Body); err != nil || string(b) != "next /orders" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestSwitchIsPerClassByHeaderOrPath(t *testing.T) {
	s, addr := serve(t, herzws.Config{Logger: quiet(), Spread: -1})
	s.Switch().SetClass("gateway-v1", true)
	s.Switch().SetClass("/old", true)
	if res := head(t, addr, "X-Device-Class: gateway-v1"); res.StatusCode != http.StatusOK {
		t.Errorf("by the header: %s", res.Status)
	}
	if res := send(t, "HEAD /old HTTP/1.1\r\nHost: h\r\n\r\n", addr); res.StatusCode != http.StatusOK {
		t.Errorf("by the path: %s", res.Status)
	}
	if res := head(t, addr); res.StatusCode != http.StatusUpgradeRequired {
		t.Errorf("another class: %s", res.Status)
	}
	open(t, addr, "X-Device-Class: gateway-v2")
	s.Switch().SetClass("gateway-v2", false)
	other, spared := open(t, addr), open(t, addr, "X-Device-Class: gateway-v2")
	eventually(t, "three connections", func() bool { return s.Stats().Conns == 3 })
	s.Switch().SetEnableLegacyKeepAlive(true)
	other.expect("close 1012")
	spared.write(frame(ws.OpPing, "still here"))
	spared.expect("pong still here")
	s.Switch().UnsetClass("gateway-v2")
	spared.expect("close 1012")
	if s.Switch().EnableLegacyKeepAlive() != true || !s.Switch().Enabled("gateway-v2") {
		t.Error("the switch does not say what it was told")
	}
}

// A flip that is taken back spares whom it has not reached.
func TestFlipThatIsTakenBackSparesTheOthers(t *testing.T) {
	s, addr := serve(t, herzws.Config{Logger: quiet(), Spread: 24 * time.Hour, Heartbeat: herzws.Heartbeat{Interval: time.Hour}})
	p := open(t, addr)
	eventually(t, "the connection", func() bool { return s.Stats().Conns == 1 })
	s.Switch().SetEnableLegacyKeepAlive(true)
	s.Switch().SetEnableLegacyKeepAlive(false)
	p.write(frame(ws.OpPing, "x"))
	p.expect("pong x")
	if st := s.Stats(); st.Drained != 0 {
		t.Errorf("%+v", st)
	}
	p.write(frame(ws.OpClose, closing(1000, ""))) // Shutdown would wait for its turn
	p.expect("close 1000", "end")
}

// The switch is read and flipped by everybody at once; the race detector looks on.
func TestSwitchHasNoRace(t *testing.T) {
	s, addr := serve(t, herzws.Config{Logger: quiet(), Spread: -1})
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for n := range 200 {
				s.Switch().SetEnableLegacyKeepAlive(n%2 == 0)
				s.Switch().SetClass("c", n%3 == 0)
				if i == 0 && n%20 == 0 {
					head(t, addr)
				}
				s.Switch().Enabled("c")
			}
		})
	}
	all.Wait()
}

// A device is one entry, whichever way it comes, and the end of an old connection does not remove the entry of its successor.
func TestDeviceIsOneEntryWhateverItsMode(t *testing.T) {
	onEach(t, func(t *testing.T, e herzws.Engine) {
		cfg := herzws.Config{Engine: e, Logger: quiet()}
		ends := ended(&cfg)
		s, addr := serve(t, cfg)
		s.Switch().SetClass("old", true)
		one := func(m herzws.Mode) {
			t.Helper()
			n := 0
			for d := range s.Devices() {
				n++
				if d.Mode != m || d.Name != "meter-1" {
					t.Errorf("%+v", d)
				}
			}
			if n != 1 {
				t.Errorf("%d entries", n)
			}
		}
		head(t, addr, "X-Device-Id: meter-1", "X-Device-Class: old")
		one(herzws.Legacy)
		first := open(t, addr, "X-Device-Id: meter-1")
		eventually(t, "the WebSocket", func() bool { d, _ := s.Device("meter-1"); return d.Mode == herzws.V2 })
		one(herzws.V2)
		if s.Stats().Legacy != 0 {
			t.Errorf("%+v", s.Stats())
		}
		open(t, addr, "X-Device-Id: meter-1") // before the first was found dead
		eventually(t, "both connections", func() bool { return s.Stats().Conns == 2 })
		_ = first.nc.Close()
		<-ends
		one(herzws.V2)
		head(t, addr, "X-Device-Id: meter-1", "X-Device-Class: old") // it has left its WebSocket
		one(herzws.Legacy)
		if s.Stats().Legacy != 1 {
			t.Errorf("%+v", s.Stats())
		}
	})
}

func TestLegacyDeviceThatStaysAwayExpires(t *testing.T) {
	s, addr := serve(t, herzws.Config{Logger: quiet(), Heartbeat: herzws.Heartbeat{Interval: 50 * time.Millisecond, Grace: 50 * time.Millisecond}})
	s.Switch().SetEnableLegacyKeepAlive(true)
	head(t, addr, "X-Device-Id: meter-1")
	if s.Stats().Legacy != 1 {
		t.Errorf("%+v", s.Stats())
	}
	eventually(t, "its end", func() bool { return s.Stats().Legacy == 0 && s.Stats().LegacyExpired == 1 })
	if _, ok := s.Device("meter-1"); ok {
		t.Error("its entry is left")
	}
}

func TestLegacyDevicesPastTheLimitAreRefused(t *testing.T) {
	s, addr := serve(t, herzws.Config{Logger: quiet(), Limits: herzws.Limits{Legacy: 1}})
	s.Switch().SetEnableLegacyKeepAlive(true)
	head(t, addr, "X-Device-Id: meter-1")
	if res := head(t, addr, "X-Device-Id: meter-2"); res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") != "5" {
		t.Errorf("%s", res.Status)
	}
	if res := head(t, addr, "X-Device-Id: meter-1"); res.StatusCode != http.StatusOK {
		t.Errorf("who is there already: %s", res.Status)
	}
	s.SetLimits(herzws.Limits{Legacy: 2})
	if res := head(t, addr, "X-Device-Id: meter-2"); res.StatusCode != http.StatusOK {
		t.Errorf("%s", res.Status)
	}
}

// What a stranger calls himself is kept with what is counted of him, so that its length is bounded.
func TestNamesOfMoreThan256BytesAreRefusedAndNotKept(t *testing.T) {
	s, addr := serve(t, herzws.Config{Logger: quiet()})
	long := strings.Repeat("x", 257)
	for _, name := range []string{"X-Device-Id: " + long, "X-Device-Class: " + long} {
		for _, more := range []string{"", "Sec-WebSocket-Key: short"} {
			if res := send(t, request(addr, name, more), addr); res.StatusCode != http.StatusBadRequest || !strings.Contains(res.Text, "256 bytes") {
				t.Errorf("an upgrade is answered %s, %q", res.Status, res.Text)
			}
		}
		if res := head(t, addr, name); res.StatusCode != http.StatusUpgradeRequired {
			t.Errorf("HEAD for the next handler is answered %s", res.Status)
		}
	}
	s.Switch().SetEnableLegacyKeepAlive(true)
	for _, name := range []string{"X-Device-Id: " + long, "X-Device-Class: " + long} {
		if res := head(t, addr, name); res.StatusCode != http.StatusBadRequest {
			t.Errorf("a heartbeat is answered %s", res.Status)
		}
	}
	if st := s.Stats(); len(s.Failing()) != 0 || st.Legacy+st.Conns != 0 || st.BadHandshakes != 4 {
		t.Errorf("%+v", st)
	}
	if res := head(t, addr, "X-Device-Id: "+long[1:]); res.StatusCode != http.StatusOK {
		t.Errorf("256 bytes: %s", res.Status)
	}
}

func TestStatusShowsNumbersAndFailingPeers(t *testing.T) {
	s, addr := serve(t, herzws.Config{Logger: quiet(), Failing: herzws.Failing{Threshold: 1}})
	s.Switch().SetClass("old", true)
	send(t, request(addr, "X-Device-Id: meter-1", "Sec-WebSocket-Key: short"), addr)
	w := httptest.NewRecorder()
	s.Status().ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/", http.NoBody))
	var got struct {
		Stats   herzws.Stats
		Failing []herzws.FailingPeer `json:"failing_peers"`
		Classes map[string]bool
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Stats.BadHandshakes != 1 || got.Stats.Failing != 1 || len(got.Failing) != 1 || got.Failing[0].Peer != "meter-1" || !got.Classes["old"] {
		t.Errorf("%s", w.Body)
	}
}
