package herzws_test

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"

	"herz.example/herz/conn"
	"herz.example/herz/herzws"
)

// pipes is a listener whose connections are net.Pipes, so that its time can be that of synctest.
type pipes struct {
	accept chan net.Conn
	closed chan struct{}
}

func newPipes() *pipes { return &pipes{make(chan net.Conn), make(chan struct{})} }

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case nc := <-l.accept:
		return nc, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}
func (l *pipes) Close() error   { close(l.closed); return nil }
func (l *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// inBubble runs a server over pipes, and gives a peer that speaks WebSocket with it.
func inBubble(t *testing.T, cfg herzws.Config, f func(s *herzws.Server, p *peer, ends <-chan *herzws.CloseError)) {
	synctest.Test(t, func(t *testing.T) {
		ends := ended(&cfg) // made in the bubble, so that its time goes on while we wait for one
		s := &herzws.Server{Config: cfg}
		l := newPipes()
		web := &http.Server{Handler: s}
		go func() { _ = web.Serve(l) }()
		ours, theirs := net.Pipe()
		l.accept <- theirs
		p := &peer{t, ours, bufio.NewReader(ours)}
		if res := p.ask(request("pipe")); res.StatusCode != http.StatusSwitchingProtocols {
			t.Fatal(res.Status)
		}
		synctest.Wait() // the server has it
		f(s, p, ends)
		_ = ours.Close()
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		_ = web.Close()
	})
}

// ended collects the ends of connections.
func ended(cfg *herzws.Config) <-chan *herzws.CloseError {
	ends := make(chan *herzws.CloseError, 16)
	cfg.OnClose = func(_ *herzws.Conn, err error) {
		var why *herzws.CloseError
		if errors.As(err, &why) {
			ends <- why
		}
	}
	return ends
}

func TestSilentPeerIsAskedAfterTheIntervalAndEndedAfterTheGrace(t *testing.T) {
	cfg := herzws.Config{Logger: quiet(), Spread: -1} // the defaults: 30 s, and 10 s
	inBubble(t, cfg, func(s *herzws.Server, p *peer, ends <-chan *herzws.CloseError) {
		start := time.Now()
		p.expect("ping ")
		if took := time.Since(start); took > 31*time.Second || took < 15*time.Second {
			t.Errorf("the first ping came after %v", took)
		}
		p.write(frame(ws.OpPong, ""))
		heard := time.Now()
		p.expect("ping ")
		if took := time.Since(heard); took < 30*time.Second || took > 31*time.Second {
			t.Errorf("the second ping came %v after the newest frame", took)
		}
		why := <-ends
		if took := time.Since(heard); took < 40*time.Second || took > 41*time.Second {
			t.Errorf("it was ended %v after the newest frame", took)
		}
		if why.Cause != conn.Heartbeat || !why.Ours || why.Clean || s.Stats().Timeouts != 1 || s.Stats().Pings != 2 {
			t.Errorf("it ended by %v; %+v", why, s.Stats())
		}
	})
}

// Any frame is a sign of life, and each moves the deadline, whenever it comes.
func TestDeadlineMovesOnlyLater(t *testing.T) {
	cfg := herzws.Config{Logger: quiet(), Spread: -1, OnMessage: func(*herzws.Conn, herzws.Kind, []byte) {}}
	inBubble(t, cfg, func(s *herzws.Server, p *peer, ends <-chan *herzws.CloseError) {
		go func() {
			for p.next() != "end" { // what comes has to be read: a pipe has no buffer
			}
		}()
		for i := range 60 {
			p.write(frame(ws.OpText, "x"))
			time.Sleep(time.Duration(i%13) * 3 * time.Second) // up to 36 s: after the ping, before the end
		}
		last := time.Now()
		p.write(frame(ws.OpText, "x"))
		why := <-ends
		if took := time.Since(last); took < 40*time.Second || took > 41*time.Second || why.Cause != conn.Heartbeat {
			t.Errorf("it was ended %v after the newest frame: %v", took, why)
		}
		if n := s.Stats().Received; n != 61 {
			t.Errorf("%d messages came", n)
		}
	})
}

func TestTimeOutInMidFrameEndsTheConnection(t *testing.T) {
	cfg := herzws.Config{Logger: quiet(), Spread: -1}
	inBubble(t, cfg, func(s *herzws.Server, p *peer, ends <-chan *herzws.CloseError) {
		go func() {
			for p.next() != "end" {
			}
		}()
		start := time.Now()
		whole := frame(ws.OpText, "hello")
		for _, b := range whole[:len(whole)-1] { // bytes are no sign of life: a whole frame is
			p.write([]byte{b})
			time.Sleep(3 * time.Second)
		}
		why := <-ends
		if took := time.Since(start); took > 41*time.Second {
			t.Errorf("it was ended after %v", took)
		}
		if why.Cause != conn.Heartbeat || s.Stats().MidFrame != 1 || len(why.Reason) < 9 || why.Reason[:9] != "mid_frame" {
			t.Errorf("it ended by %v; %+v", why, s.Stats())
		}
	})
}

// While a callback has the connection it is not read, so that what the peer says is not heard, either.
func TestPeerIsNotFoundSilentWhileItsCallbackRuns(t *testing.T) {
	cfg := herzws.Config{Logger: quiet(), Spread: -1, OnMessage: func(c *herzws.Conn, k herzws.Kind, b []byte) {
		time.Sleep(5 * time.Minute)
		_ = c.Send(context.Background(), k, b)
	}}
	inBubble(t, cfg, func(s *herzws.Server, p *peer, ends <-chan *herzws.CloseError) {
		p.write(frame(ws.OpText, "slow"))
		p.expect("text slow")
		if s.Stats().Timeouts != 0 || len(ends) != 0 {
			t.Errorf("%+v", s.Stats())
		}
	})
}

func TestPeerIsNotFoundSilentWhileOnOpenRuns(t *testing.T) {
	cfg := herzws.Config{Logger: quiet(), Spread: -1, OnOpen: func(*herzws.Conn) { time.Sleep(2 * time.Minute) }}
	inBubble(t, cfg, func(s *herzws.Server, p *peer, ends <-chan *herzws.CloseError) {
		start := time.Now()
		p.expect("ping ")
		if took := time.Since(start); took < 2*time.Minute || s.Stats().Timeouts != 0 || len(s.Failing()) != 0 || len(ends) != 0 {
			t.Errorf("after %v: %+v, %+v", took, s.Stats(), s.Failing())
		}
	})
}

func TestClosingThatIsNotAnsweredIsCut(t *testing.T) {
	cfg := herzws.Config{Logger: quiet(), Spread: -1}
	inBubble(t, cfg, func(s *herzws.Server, p *peer, ends <-chan *herzws.CloseError) {
		start := time.Now()
		s.Conns()[0].Close(herzws.CodeGoingAway, "bye")
		p.expect("close 1001", "end")
		why := <-ends
		if took := time.Since(start); took < 5*time.Second || took > 6*time.Second || why.Code != herzws.CodeGoingAway || why.Clean || !why.Ours {
			t.Errorf("it was cut after %v: %v", took, why)
		}
	})
}

// On real sockets and with both engines: the same, in less time.
func TestHeartbeatOnSockets(t *testing.T) {
	onEach(t, func(t *testing.T, e herzws.Engine) {
		cfg := herzws.Config{Engine: e, Logger: quiet(), Heartbeat: herzws.Heartbeat{Interval: 60 * time.Millisecond, Grace: 2 * time.Second}}
		ends := ended(&cfg)
		s, addr := serve(t, cfg)
		good, silent := open(t, addr), open(t, addr)
		go func() {
			for good.next() == "ping " {
				if _, err := good.nc.Write(frame(ws.OpPong, "")); err != nil {
					return
				}
			}
		}()
		silent.expect("ping ", "end")
		if why := <-ends; why.Cause != conn.Heartbeat {
			t.Errorf("it ended by %v", why)
		}
		eventually(t, "the end of the silent one alone", func() bool { return s.Stats().Conns == 1 })
		if st := s.Stats(); st.Timeouts != 1 || st.Pings < 10 {
			t.Errorf("%+v", st)
		}
	})
}

func TestFrameThatIsNeverWholeEndsTheConnectionOnSockets(t *testing.T) {
	onEach(t, func(t *testing.T, e herzws.Engine) {
		cfg := herzws.Config{Engine: e, Logger: quiet(), Heartbeat: herzws.Heartbeat{Interval: 60 * time.Millisecond, Grace: 500 * time.Millisecond}}
		ends := ended(&cfg)
		s, addr := serve(t, cfg)
		p := open(t, addr)
		p.write(frame(ws.OpText, "hello")[:7])
		p.expect("ping ", "end")
		if why := <-ends; why.Cause != conn.Heartbeat || s.Stats().MidFrame != 1 {
			t.Errorf("it ended by %v; %+v", why, s.Stats())
		}
	})
}
