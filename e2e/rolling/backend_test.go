//go:build linux

package rolling_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"herz.example/herz/faultlab/netns"
	"herz.example/herz/faultlab/relay"
	"herz.example/herz/herzhttp"
)

// orders is set in a process that is one of the servers.
const orders = "HERZ_ROLLING_SERVER"

// order says what such a process does.
type order struct {
	Addr, Instance string
	Aligned, HTTP2 bool
	Alignment      herzhttp.Alignment
}

// serve is the main function of a server.
func serve(text string) error {
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/work", func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		time.Sleep(workTime)
		w.Header().Set("X-Instance", o.Instance)
		_, _ = io.WriteString(w, "done\n")
	})
	hs := &http.Server{Addr: o.Addr, Handler: mux, BaseContext: func(net.Listener) context.Context {
		fmt.Println("ready") // it listens
		return context.Background()
	}}
	hs.Protocols = new(http.Protocols)
	hs.Protocols.SetHTTP1(true) // health checks come by it
	hs.Protocols.SetUnencryptedHTTP2(o.HTTP2)
	if o.Aligned {
		return aligned(hs, o.Alignment)
	}
	return plain(hs, mux)
}

// workTime is how long a request takes.
const workTime = 2 * time.Millisecond

// aligned is a server with herzhttp.
func aligned(hs *http.Server, a herzhttp.Alignment) error {
	s, err := herzhttp.NewServer(hs, herzhttp.ServerConfig{Alignment: a})
	if err != nil {
		return err
	}
	return herzhttp.Run(context.Background(), s)
}

// plain is a server as the documentation of net/http shows it, with a health check that flips.
func plain(hs *http.Server, mux *http.ServeMux) error {
	var leaving atomic.Bool
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if leaving.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	served := make(chan error, 1)
	go func() { served <- hs.ListenAndServe() }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	leaving.Store(true)
	bounded, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return hs.Shutdown(bounded)
}

// fleet are the servers of one test.
type fleet struct {
	t     *testing.T
	order order
	ns    *netns.NS
	path  *relay.Tunnelled
	addrs []string
	procs []*exec.Cmd
	logs  []*said
	born  int
}

const (
	// servers is how many there are.
	servers = 3
	// distance is how long a packet is under way between the balancer and the servers: two regions. A request that is sent while a connection's end is under way is
	// what a restart loses, and on loopback that takes some microseconds only.
	distance = 5 * time.Millisecond
)

func startFleet(t *testing.T, o order) *fleet {
	t.Helper()
	n := netns.New(t)
	path, err := relay.Open(n, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := path.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := path.Set(relay.Weather{Delay: distance}); err != nil {
		t.Fatal(err)
	}
	f := &fleet{t: t, order: o, ns: n, path: path, procs: make([]*exec.Cmd, servers)}
	t.Cleanup(f.kill)
	for i := range servers {
		f.addrs = append(f.addrs, net.JoinHostPort(path.IP(), strconv.Itoa(8000+i)))
		f.start(i)
	}
	return f
}

// start starts the server at a place and returns its instance when it listens.
func (f *fleet) start(i int) string {
	f.t.Helper()
	f.born++
	o := f.order
	o.Addr, o.Instance = f.addrs[i], fmt.Sprintf("%d.%d", i, f.born)
	text, err := json.Marshal(o)
	if err != nil {
		f.t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), orders+"="+string(text), "GORACE=atexit_sleep_ms=10")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		f.t.Fatal(err)
	}
	log := &said{who: o.Instance}
	f.logs = append(f.logs, log)
	cmd.Stderr = log
	if err := f.ns.Do(cmd.Start); err != nil {
		f.t.Fatal(err)
	}
	f.procs[i] = cmd
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		f.t.Fatalf("server %s said %q: %v", o.Instance, line, err)
	}
	return o.Instance
}

// stop sends SIGTERM and waits for the end. It returns how long that took.
func (f *fleet) stop(i int) time.Duration {
	f.t.Helper()
	began := time.Now()
	if err := f.procs[i].Process.Signal(syscall.SIGTERM); err != nil {
		f.t.Fatal(err)
	}
	hung := time.AfterFunc(30*time.Second, func() { _ = f.procs[i].Process.Kill() })
	defer hung.Stop()
	if err := f.procs[i].Wait(); err != nil {
		f.t.Errorf("server %d did not end well: %v", i, err)
	}
	f.procs[i] = nil
	return time.Since(began)
}

// count is how many lines the servers have logged that have these words.
func (f *fleet) count(words string) (n int) {
	for _, l := range f.logs {
		n += strings.Count(l.String(), words)
	}
	return n
}

func (f *fleet) kill() {
	for _, p := range f.procs {
		if p == nil {
			continue
		}
		_ = p.Process.Kill()
		var ended *exec.ExitError
		if err := p.Wait(); err != nil && !errors.As(err, &ended) {
			f.t.Error(err)
		}
	}
	for _, l := range f.logs {
		if f.t.Failed() {
			f.t.Logf("server %s said:\n%s", l.who, l)
		}
	}
}

// said is what a server logged.
type said struct {
	who string

	mu   sync.Mutex // guards text; nothing else happens under it
	text []byte
}

func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	s.text = append(s.text, b...)
	s.mu.Unlock()
	return len(b), nil
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.text)
}
