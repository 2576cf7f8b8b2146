package herzhttp_test

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"herz.example/herz/conn"
	"herz.example/herz/guard"
	"herz.example/herz/herzhttp"
	"herz.example/herz/herztest"
	"herz.example/herz/pool"
)

// everywhere is a server on the same port of 127.0.0.1 to 127.0.0.3.
func everywhere(t *testing.T, h http.Handler) (port string) {
	t.Helper()
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Serve(l) })
	t.Cleanup(func() {
		_ = s.Close()
		wg.Wait()
	})
	_, port, _ = net.SplitHostPort(l.Addr().String())
	return port
}

// peers are the addresses that the connections of the only pool lead to, sorted.
func peers(tr *herzhttp.Transport) (list []string) {
	for _, c := range tr.Pools()[0].Snapshot() {
		ip, _, _ := net.SplitHostPort(c.Peer)
		list = append(list, ip)
	}
	slices.Sort(list)
	return list
}

func TestConnectionsAreSpreadOverTheAddressesOfAName(t *testing.T) {
	ns := herztest.NewNameServer(t)
	ns.Set("api.test", "127.0.0.1", "127.0.0.2", "127.0.0.3")
	port := everywhere(t, echo)
	tr := newTransport(t, herzhttp.Config{Guard: guard.Options{Resolver: ns.Resolver()}, Limits: pool.Limits{MinIdle: 6, MaxDialing: 1}})
	if err := tr.WarmUp(withTimeout(t, 10*time.Second), "http://api.test:"+port); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(peers(tr)); got != "[127.0.0.1 127.0.0.1 127.0.0.2 127.0.0.2 127.0.0.3 127.0.0.3]" {
		t.Errorf("six connections lead to %s", got)
	}
}

func TestAddressThatDoesNotAnswerCostsNoRequest(t *testing.T) {
	ns := herztest.NewNameServer(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: echo, ReadHeaderTimeout: time.Minute}
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Serve(l) })
	t.Cleanup(func() { _ = s.Close(); wg.Wait() })
	_, port, _ := net.SplitHostPort(l.Addr().String())
	ns.Set("api.test", "127.0.0.1", "127.0.0.2", "127.0.0.3") // only the first of them listens
	for range 10 {
		tr := newTransport(t, herzhttp.Config{Guard: guard.Options{Resolver: ns.Resolver()}})
		if status, _ := fetch(t, &http.Client{Transport: tr}, "GET", "http://api.test:"+port, ""); status != 200 {
			t.Fatalf("status %d", status)
		}
	}
}

func TestConnectionsLeaveAnAddressThatTheNameHasLeft(t *testing.T) {
	ns := herztest.NewNameServer(t)
	ns.Set("api.test", "127.0.0.1")
	port := everywhere(t, echo)
	tr := newTransport(t, herzhttp.Config{Guard: guard.Options{Resolver: ns.Resolver(), ResolveEvery: guard.MinResolveEvery}})
	c := &http.Client{Transport: tr}
	fetch(t, c, "GET", "http://api.test:"+port, "")
	ns.Set("api.test", "127.0.0.2")
	eventually(t, "requests go to the new address", func() bool {
		fetch(t, c, "GET", "http://api.test:"+port, "")
		return fmt.Sprint(peers(tr)) == "[127.0.0.2]"
	})
	if n := only(t, tr).Closed[conn.Identity]; n != 1 {
		t.Errorf("%d connections were closed because their address is not the name's any more", n)
	}
}

func TestAddressOfManyIsGivenTheTimeThatAHandshakeTakes(t *testing.T) {
	const all time.Duration = guard.DefaultHeartbeatTimeout
	for many := 2; many < 300; many++ {
		rest := all
		for left := many; left > 1; left-- {
			got := herzhttp.Share(rest, left)
			if rest > all/2 && got < 300*time.Millisecond {
				t.Fatalf("of %v the first of %d addresses that are left is given %v", rest, left, got)
			}
			if got > rest/2 {
				t.Fatalf("of %v one of %d addresses takes %v from the others", rest, left, got)
			}
			rest -= got
		}
	}
	if got := herzhttp.Share(all, 2); got != all/2 {
		t.Errorf("of two addresses one is given %v of %v", got, all)
	}
}
