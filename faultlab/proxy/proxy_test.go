package proxy_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"herz.example/herz/faultlab/proxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const answer = "0123456789\n"

// backend answers each line by another, and counts the lines that it has executed.
type backend struct {
	net.Listener
	executed atomic.Int64
	parts    bool // the answer comes in two parts
}

func serve(t *testing.T, wrap func(net.Listener) net.Listener) *backend {
	t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &backend{Listener: wrap(ln)}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			nc, err := b.Accept()
			if err != nil {
				return
			}
			go b.answer(nc)
		}
	}()
	return b
}

func plain(ln net.Listener) net.Listener { return ln }

func (b *backend) answer(nc net.Conn) {
	defer nc.Close()
	for lines := bufio.NewScanner(nc); lines.Scan(); {
		b.executed.Add(1)
		if b.parts {
			_, _ = io.WriteString(nc, answer[:4])
			time.Sleep(5 * time.Millisecond)
			_, _ = io.WriteString(nc, answer[4:])
			continue
		}
		_, _ = io.WriteString(nc, answer)
	}
}

func listen(t *testing.T, to net.Listener) *proxy.Proxy {
	t.Helper()
	p, err := proxy.Listen(to.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for range 2 {
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	return p
}

func dial(t *testing.T, p *proxy.Proxy) net.Conn {
	t.Helper()
	nc, err := net.DialTimeout("tcp4", p.Addr(), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return nc
}

// ask sends a line and reads one, or what there is of it.
func ask(nc net.Conn, line string) (string, error) {
	if _, err := io.WriteString(nc, line+"\n"); err != nil {
		return "", err
	}
	got := make([]byte, len(answer))
	n, err := io.ReadFull(nc, got)
	return string(got[:n]), err
}

func trap(t *testing.T, p *proxy.Proxy, tr proxy.Trap) *proxy.Sprung {
	t.Helper()
	s, err := p.Set(tr)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func await(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	late := time.NewTimer(5 * time.Second)
	defer late.Stop()
	select {
	case <-c:
	case <-late.C:
		t.Fatalf("5 s without: %s", what)
	}
}

// endedBy checks that a read ended as the end of a connection does.
func endedBy(t *testing.T, err error, e proxy.End) {
	t.Helper()
	fin := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	rst := errors.Is(err, syscall.ECONNRESET)
	if (e == proxy.FIN && !fin) || (e == proxy.RST && !rst) {
		t.Errorf("the connection ended by %v, want a %v", err, e)
	}
}

func TestLostAnswerWasExecutedOnceAndOtherConnectionsLive(t *testing.T) {
	for _, e := range []proxy.End{proxy.FIN, proxy.RST} {
		b := serve(t, plain)
		p := listen(t, b)
		other, hit := dial(t, p), dial(t, p)
		s := trap(t, p, proxy.Trap{Marker: "mark-42", End: e})
		if got, err := ask(other, "no sign"); err != nil || got != answer {
			t.Errorf("a request without the marker: %q, %v", got, err)
		}
		got, err := ask(hit, "a line with mark-42 in it")
		if got != "" {
			t.Errorf("%q of the answer came through", got)
		}
		endedBy(t, err, e)
		await(t, s.Fallen(), "a request that springs the trap")
		await(t, s.Done(), "the end of the answer")
		if n := b.executed.Load(); n != 2 || !s.Ended() || s.Swallowed() != int64(len(answer)) {
			t.Errorf("executed %d, ended %t, swallowed %d", n, s.Ended(), s.Swallowed())
		}
		if got, err := ask(other, "mark-42 again"); err != nil || got != answer {
			t.Errorf("the trap fell twice: %q, %v", got, err)
		}
	}
}

func TestAnswerIsCutAtEveryByteAndExactlyThere(t *testing.T) {
	for _, parts := range []bool{false, true} {
		b := serve(t, plain)
		b.parts = parts
		p := listen(t, b)
		for _, e := range []proxy.End{proxy.FIN, proxy.RST} {
			for k := range len(answer) {
				nc := dial(t, p)
				s := trap(t, p, proxy.Trap{Marker: "cut", Keep: k, End: e})
				got, err := ask(nc, "cut")
				if got != answer[:k] {
					t.Errorf("cut at %d: %q", k, got)
				}
				endedBy(t, err, e)
				await(t, s.Done(), "the end of the answer")
				// What comes in parts may pause for longer than the proxy waits; the client gets none of it all the same.
				if n := s.Swallowed(); n < 1 || n > int64(len(answer)-k) || !parts && n != int64(len(answer)-k) || !s.Ended() {
					t.Errorf("cut at %d: swallowed %d, ended %t", k, n, s.Ended())
				}
			}
		}
	}
}

func TestAnswerNotLongerThanTheCutPassesWhole(t *testing.T) {
	p := listen(t, serve(t, plain))
	nc := dial(t, p)
	s := trap(t, p, proxy.Trap{Marker: "cut", Keep: len(answer)})
	for range 2 {
		if got, err := ask(nc, "cut"); err != nil || got != answer {
			t.Errorf("%q, %v", got, err)
		}
	}
	await(t, s.Done(), "that the trap gives up")
	if s.Ended() || s.Swallowed() != 0 {
		t.Errorf("ended %t, swallowed %d", s.Ended(), s.Swallowed())
	}
}

func TestHeldAnswerComesWholeWhenItIsReleased(t *testing.T) {
	b := serve(t, plain)
	p := listen(t, b)
	nc := dial(t, p)
	s := trap(t, p, proxy.Trap{Marker: "hold", Keep: 3, Hold: true})
	type outcome struct {
		got string
		err error
	}
	done := make(chan outcome, 1)
	go func() { got, err := ask(nc, "hold"); done <- outcome{got, err} }()
	await(t, s.Done(), "that the answer is held")
	if b.executed.Load() != 1 || s.Ended() {
		t.Errorf("executed %d, ended %t", b.executed.Load(), s.Ended())
	}
	wait := time.NewTimer(100 * time.Millisecond)
	defer wait.Stop()
	select {
	case o := <-done:
		t.Errorf("it came early: %+v", o)
	case <-wait.C:
		s.Release()
		s.Release()
		if o := <-done; o.err != nil || o.got != answer {
			t.Errorf("%+v", o)
		}
	}
	if got, err := ask(nc, "hold"); err != nil || got != answer {
		t.Errorf("the next answer: %q, %v", got, err)
	}
}

func TestMarkerThatIsSplitBetweenTwoPacketsIsSeen(t *testing.T) {
	p := listen(t, serve(t, plain))
	nc := dial(t, p)
	s := trap(t, p, proxy.Trap{Marker: "mark-42"})
	if _, err := io.WriteString(nc, "first mar"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond) // two packets; were it one, the test would show less
	got, err := ask(nc, "k-42")
	if got != "" {
		t.Errorf("%q came through", got)
	}
	endedBy(t, err, proxy.FIN)
	await(t, s.Done(), "the end")
}

func TestConnectionsAndBytesAreCounted(t *testing.T) {
	b := serve(t, plain)
	p := listen(t, b)
	for range 3 {
		if _, err := ask(dial(t, p), "x"); err != nil {
			t.Fatal(err)
		}
	}
	if s := p.Stats(); s.Accepted != 3 || s.Open != 3 || s.Refused != 0 || s.Sent != 6 || s.Answered != uint64(3*len(answer)) {
		t.Errorf("%+v", s)
	}
	p.Lead("127.0.0.1:1") // nobody listens there
	nc := dial(t, p)
	if got, err := ask(nc, "x"); err == nil {
		t.Errorf("%q from a server that is not there", got)
	}
	if s := p.Stats(); s.Accepted != 4 || s.Refused != 1 {
		t.Errorf("%+v", s)
	}
}

func TestOldConnectionsStayAndNewOnesFollowTheLead(t *testing.T) {
	a, b := serve(t, plain), serve(t, plain)
	p := listen(t, a)
	old := dial(t, p)
	if _, err := ask(old, "x"); err != nil {
		t.Fatal(err)
	}
	p.Lead(b.Addr().String())
	for _, nc := range []net.Conn{old, dial(t, p)} {
		if _, err := ask(nc, "x"); err != nil {
			t.Fatal(err)
		}
	}
	if a.executed.Load() != 2 || b.executed.Load() != 1 {
		t.Errorf("the old server executed %d, the new %d", a.executed.Load(), b.executed.Load())
	}
}

func TestCutAllEndsEveryConnectionAsAsked(t *testing.T) {
	for _, e := range []proxy.End{proxy.FIN, proxy.RST} {
		p := listen(t, serve(t, plain))
		nc := dial(t, p)
		if _, err := ask(nc, "x"); err != nil {
			t.Fatal(err)
		}
		if n := p.CutAll(e); n != 1 {
			t.Errorf("cut %d", n)
		}
		_, err := nc.Read(make([]byte, 1))
		endedBy(t, err, e)
	}
}

func TestPausedProxyReadsNothingUntilItGoesOn(t *testing.T) {
	b := serve(t, plain)
	p := listen(t, b)
	nc := dial(t, p)
	if _, err := ask(nc, "x"); err != nil {
		t.Fatal(err)
	}
	// The proxy waits in a Read by now: what that gets is not to go on either.
	p.Pause()
	const passed = len("x\n")
	line := strings.Repeat("x", 60<<10) + "\n"
	sent := 0
	if err := nc.SetWriteDeadline(time.Now().Add(500 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	for {
		n, err := io.WriteString(nc, line)
		sent += n
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err != nil || sent > 64<<20 {
			t.Fatalf("after %d bytes: %v; want the window to fill", sent, err)
		}
	}
	if now := p.Stats().Sent; now != uint64(passed) {
		t.Errorf("%d bytes went on, want %d: the rest was written while it paused", now, passed)
	}
	p.Resume()
	if err := nc.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(nc, "\n"); err != nil {
		t.Errorf("after it went on: %v", err)
	}
	for deadline := time.Now().Add(10 * time.Second); p.Stats().Sent < uint64(passed+sent); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d bytes were passed on", p.Stats().Sent, sent)
		}
	}
}

func TestClientThatClosesItsSideStillGetsTheAnswer(t *testing.T) {
	p := listen(t, serve(t, plain))
	nc := dial(t, p)
	if _, err := io.WriteString(nc, "last\n"); err != nil {
		t.Fatal(err)
	}
	if err := nc.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(nc); err != nil || string(got) != answer {
		t.Errorf("%q, %v", got, err)
	}
}

func TestTLSPassesThroughAndItsAnswersCanBeLostToo(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, form, form, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	roots := x509.NewCertPool()
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots.AddCert(parsed)
	b := serve(t, func(ln net.Listener) net.Listener {
		return tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{cert}})
	})
	p := listen(t, b)
	nc := tls.Client(dial(t, p), &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"})
	if got, err := ask(nc, "x"); err != nil || got != answer {
		t.Fatalf("%q, %v", got, err)
	}
	s := trap(t, p, proxy.Trap{})
	if got, err := ask(nc, "x"); err == nil {
		t.Errorf("%q came through", got)
	}
	await(t, s.Done(), "the end")
	if b.executed.Load() != 2 || s.Swallowed() == 0 {
		t.Errorf("executed %d, swallowed %d", b.executed.Load(), s.Swallowed())
	}
}

func TestTrapThatCannotBeIsRefused(t *testing.T) {
	p := listen(t, serve(t, plain))
	for _, tr := range []proxy.Trap{{Keep: -1}, {Marker: strings.Repeat("x", 1025)}, {End: 9}} {
		if _, err := p.Set(tr); err == nil {
			t.Errorf("%+v was taken", tr)
		}
	}
	if got, err := ask(dial(t, p), "x"); err != nil || got != answer {
		t.Errorf("%q, %v", got, err)
	}
}
