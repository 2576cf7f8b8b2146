package guard_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"testing"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
)

// certificate makes one for a server that nobody checks.
func certificate(t testing.TB) tls.Certificate {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der := must(x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// encrypted gives a TLS connection over a guarded one, after the handshake, and its other end.
func encrypted(t testing.TB, o guard.Options) (client *tls.Conn, g *guard.Conn, server *tls.Conn) {
	t.Helper()
	nc, g, s := pair(t, o)
	client = tls.Client(nc, &tls.Config{InsecureSkipVerify: true}) // a test's own server
	server = tls.Server(s, &tls.Config{Certificates: []tls.Certificate{certificate(t)}})
	shaken := make(chan error, 1)
	go func() { shaken <- server.Handshake() }()
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-shaken; err != nil {
		t.Fatal(err)
	}
	return client, g, server
}

// Session tickets that wait unread after a TLS 1.3 handshake are no sign of death, and no answer.
func TestTicketsAreNoDeath(t *testing.T) {
	client, g, server := encrypted(t, guard.SQL)
	if found, ok := guard.From(client); !ok || found != g {
		t.Fatal("From does not find the guard under TLS")
	}
	if !g.Capabilities().TLS {
		t.Error("the handshake was not recognised")
	}
	quiet() // the tickets are in our receive buffer now
	if err := g.Alive(); err != nil {
		t.Fatalf("unread tickets were taken for a death: %v", err)
	}
	g.Begin()
	if _, err := io.WriteString(client, "request"); err != nil {
		t.Fatal(err)
	}
	io.ReadFull(server, make([]byte, 7))
	io.WriteString(server, "answer")
	io.ReadFull(client, make([]byte, 6))
	if g.Delivery() != conn.MaybeSent {
		t.Errorf("delivery %v: under TLS an answer is never claimed from bytes", g.Delivery())
	}
}

// TLS's normal close (close_notify, then FIN) is seen as a death although bytes wait unread.
func TestTLSCloseIsSeen(t *testing.T) {
	client, g, server := encrypted(t, guard.SQL)
	server.Close()
	eventually(t, "death is known", g.Dead)
	g.Begin()
	_, err := io.WriteString(client, "request")
	wantDead(t, err, conn.PeerFIN, true)
}

// A guard around TLS finds the socket below it.
func TestGuardAroundTLS(t *testing.T) {
	a, b := listen(t, "tcp", "127.0.0.1:0"), make(chan net.Conn, 1)
	cert := certificate(t)
	go func() {
		s, err := tls.NewListener(a, &tls.Config{Certificates: []tls.Certificate{cert}}).Accept()
		if err == nil {
			err = s.(*tls.Conn).Handshake()
		}
		if err != nil {
			close(b)
			return
		}
		b <- s
	}()
	d := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} // a test's own server
	nc := must(d.DialContext(t.Context(), "tcp", a.Addr().String()))
	g := guard.Wrap(nc, guard.SQL)
	defer g.Close()
	server := <-b
	if server == nil {
		t.Fatal("handshake failed")
	}
	want := guard.Capabilities{Watcher: true, Poll: true, TCPInfo: true, Sweep: true, KeepAlive: true, HalfClose: true, TLS: true}
	if got := g.Capabilities(); got != want {
		t.Errorf("capabilities %+v, want %+v", got, want)
	}
	go io.Copy(server, server)
	io.WriteString(g, "echo")
	if _, err := io.ReadFull(g, make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	server.Close()
	eventually(t, "death is known", g.Dead)
}

// A peer that leaves in the middle of the handshake is recorded as such.
func TestDeathInTheHandshake(t *testing.T) {
	nc, g, s := pair(t, guard.SQL)
	go func() {
		s.Read(make([]byte, 1))
		s.Close()
	}()
	if err := tls.Client(nc, &tls.Config{InsecureSkipVerify: true}).Handshake(); err == nil { // a test's own server
		t.Fatal("shook hands with nobody")
	}
	if d, ok := g.Death(); !ok || d.Phase != "tls" {
		t.Errorf("death %+v, want one in the phase tls", d)
	}
}

// Abort of a guard around TLS does not wait for TLS's goodbye.
func TestAbortAroundTLSIsQuick(t *testing.T) {
	client, inner, _ := encrypted(t, guard.Options{})
	outer := guard.Wrap(client, guard.Options{})
	start := time.Now()
	outer.Abort(conn.Heartbeat)
	if took := time.Since(start); took > time.Second {
		t.Errorf("took %v", took)
	}
	outer.Close()
	inner.Close()
}
