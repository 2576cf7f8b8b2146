package herzhttp_test

import (
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"herz.example/herz/guard"
	"herz.example/herz/herzhttp"
	"herz.example/herz/herztest"
	"herz.example/herz/pool"
)

// hole is an address at which connections get no answer: its queue of connections that nobody accepts is full.
func hole(t *testing.T, host string, port int) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	at := &syscall.SockaddrInet4{Port: port, Addr: [4]byte(net.ParseIP(host).To4())}
	if err := syscall.Bind(fd, at); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	for range 8 {
		nc, err := net.DialTimeout("tcp", net.JoinHostPort(host, strconv.Itoa(port)), 100*time.Millisecond)
		if err != nil {
			return
		}
		t.Cleanup(func() { _ = nc.Close() })
	}
	t.Fatal("the queue takes every connection")
}

func TestAddressThatDoesNotAnswerIsNotTriedFirstByEveryDial(t *testing.T) {
	s, _ := newSite(t, "http/1.1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/short") {
			w.Header().Set("Connection", "close")
		}
	}))
	port := s.Listener.Addr().(*net.TCPAddr).Port
	hole(t, "127.0.0.2", port)
	ns := herztest.NewNameServer(t)
	ns.Set("api.test", "127.0.0.1", "127.0.0.2")
	var told dialed
	cfg := herzhttp.Config{Guard: guard.Options{Resolver: ns.Resolver()}, Limits: pool.Limits{HeartbeatTimeout: time.Second}, Watch: &told}
	tr := newTransport(t, cfg)
	url := "http://api.test:" + strconv.Itoa(port)
	resp, err := (&http.Client{Transport: tr}).Get(url + "/held") // a connection to the address that answers, so that the other has the fewest
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	slow := 0
	for range 8 {
		began := time.Now()
		if err := get(t, tr, url+"/short", 10*time.Second); err != nil {
			t.Fatal(err)
		}
		if time.Since(began) > 400*time.Millisecond {
			slow++
		}
	}
	if slow > 1 {
		t.Errorf("%d of 8 dials waited for the address that does not answer", slow)
	}
	dials, _ := told.all()
	for _, d := range dials {
		if d.Connect > 300*time.Millisecond {
			t.Errorf("a connection that took a moment is told to have taken %v", d.Connect)
		}
	}
}
