package relay_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"herz.example/herz/faultlab/netns"
	"herz.example/herz/faultlab/relay"
)

// open makes a relay into a namespace and a listener behind it.
func open(t *testing.T) (*relay.Tunnelled, net.Listener) {
	t.Helper()
	n := netns.New(t)
	r, err := relay.Open(n, 42)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	var ln net.Listener
	if err := n.Do(func() (err error) {
		ln, err = net.Listen("tcp4", net.JoinHostPort(r.IP(), "0"))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return r, ln
}

// pair is a connection through the relay, seen from both sides.
func pair(t *testing.T, ln net.Listener) (client, server net.Conn) {
	t.Helper()
	var both sync.WaitGroup
	both.Go(func() { server, _ = ln.Accept() })
	client, err := net.DialTimeout("tcp4", ln.Addr().String(), 10*time.Second)
	if err != nil {
		ln.Close()
		both.Wait()
		t.Fatal(err)
	}
	both.Wait()
	if server == nil {
		t.Fatal("nobody accepted")
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	for _, nc := range []net.Conn{client, server} {
		if err := nc.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	return client, server
}

// move sends bytes through the relay and reports how long it took; they arrive whole.
func move(t *testing.T, client, server net.Conn, size int64) time.Duration {
	t.Helper()
	var sending sync.WaitGroup
	defer sending.Wait()
	began, sum := time.Now(), sha256.New()
	sending.Go(func() {
		if _, err := io.Copy(client, io.TeeReader(io.LimitReader(rand.NewChaCha8([32]byte{}), size), sum)); err != nil {
			t.Errorf("send: %v", err)
		}
	})
	got := sha256.New()
	if _, err := io.CopyN(got, server, size); err != nil {
		t.Errorf("receive: %v", err)
		return time.Since(began)
	}
	took := time.Since(began)
	sending.Wait()
	if hex.EncodeToString(got.Sum(nil)) != hex.EncodeToString(sum.Sum(nil)) {
		t.Error("other bytes arrived than were sent")
	}
	return took
}

func TestBulkPassesTheRelayWhole(t *testing.T) {
	r, ln := open(t)
	client, server := pair(t, ln)
	const size = 16 << 20
	took := move(t, client, server, size)
	t.Logf("figures: %.0f MB/s", size/took.Seconds()/1e6)
	out, in := r.Stats()
	if out.Carried < size/1500 || in.Carried == 0 || out.Lost+out.Overflow+in.Lost+in.Overflow > 0 {
		t.Errorf("counted %+v, %+v", out, in)
	}
}

func TestRoundTripHasTwiceTheDelay(t *testing.T) {
	r, ln := open(t)
	client, server := pair(t, ln)
	set(t, r.Relay, relay.Weather{Delay: 100 * time.Millisecond})
	go func() { _, _ = io.CopyN(server, server, 4) }()
	began := time.Now()
	if _, err := client.Write([]byte("ping")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(client, make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 200*time.Millisecond || took > 2*time.Second {
		t.Errorf("the round trip took %v, want 200 ms", took)
	}
}

func TestConnectionOutlivesLossAndOutage(t *testing.T) {
	r, ln := open(t)
	client, server := pair(t, ln)
	set(t, r.Relay, relay.Weather{Loss: 0.05})
	r.Outage(500 * time.Millisecond)
	took := move(t, client, server, 256<<10)
	out, _ := r.Stats()
	t.Logf("figures: 256 KiB in %v, %d packets lost", took, out.Lost)
	if out.Lost == 0 || took < 500*time.Millisecond {
		t.Errorf("%v, %+v: nothing was lost and the test shows nothing", took, out)
	}
}

func TestClosedRelayIsSilent(t *testing.T) {
	r, ln := open(t)
	client, server := pair(t, ln)
	for range 2 {
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := client.SetDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("out of a closed relay came %v; want silence until the deadline", err)
	}
}
