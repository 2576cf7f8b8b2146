package board_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"herz.example/herz/board"
	"herz.example/herz/conn"
	"herz.example/herz/pool"
)

const patience = 10 * time.Second

// watch opens the events of a board. Leave ends the stream.
func watch(t *testing.T, url string) (events *bufio.Reader, leave func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/debug/herz/api/events", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	leave = func() { cancel(); res.Body.Close() }
	t.Cleanup(leave)
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "text/event-stream" || res.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("the events are answered with %s, %v", res.Status, res.Header)
	}
	return bufio.NewReader(res.Body), leave
}

// next reads one event.
func next(t *testing.T, events *bufio.Reader) map[string]any {
	t.Helper()
	var lines [3]string
	for i := range lines {
		line, err := events.ReadString('\n')
		if err != nil {
			t.Fatalf("read an event: %v", err)
		}
		lines[i] = strings.TrimSuffix(line, "\n")
	}
	data, isData := strings.CutPrefix(lines[1], "data: ")
	if lines[0] != "event: state" || !isData || lines[2] != "" {
		t.Fatalf("this is no event: %q", lines)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(data), &got); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestWatcherGetsTheWholeStateAtOnceAndThenRegularly(t *testing.T) {
	url := serve(t, board.New(board.Config{Every: 100 * time.Millisecond, Sources: []board.Source{&still{name: "orders"}}}))
	events, leave := watch(t, url)
	defer leave()
	last := -1.0
	for range 3 {
		got := next(t, events)
		source(t, got, "orders")
		if up := got["uptime_seconds"].(float64); up <= last {
			t.Errorf("the state of %v s follows that of %v s", up, last)
		} else {
			last = up
		}
	}
}

// TestWatchersShareOneCollection: ten watchers must not cost more than one, and nobody watching must cost nothing.
func TestWatchersShareOneCollection(t *testing.T) {
	s := &still{name: "orders"}
	b := board.New(board.Config{Sources: []board.Source{s}})
	synctest.Test(t, func(t *testing.T) {
		var all sync.WaitGroup
		ctx, leave := context.WithCancel(t.Context())
		for range 10 {
			all.Go(func() {
				r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/debug/herz/api/events", http.NoBody)
				r.RemoteAddr, r.Host = "127.0.0.1:1", "localhost"
				b.ServeHTTP(httptest.NewRecorder(), r)
			})
		}
		time.Sleep(10*time.Second + 500*time.Millisecond)
		synctest.Wait()
		if n := s.asked.Load(); n != 11 {
			t.Errorf("the source was asked %d times in 10.5 s, want 11", n)
		}
		leave()
		all.Wait()
		time.Sleep(time.Minute)
		if n := s.asked.Load(); n != 11 {
			t.Errorf("the source was asked %d times more while nobody watched", n-11)
		}
	})
}

// TestSlowWatcherIsDropped: a watcher that does not read ends, and the others go on.
func TestSlowWatcherIsDropped(t *testing.T) {
	b := board.New(board.Config{Sources: []board.Source{&still{name: "orders"}}})
	synctest.Test(t, func(t *testing.T) {
		slow, ended := &stuck{ResponseRecorder: httptest.NewRecorder(), free: make(chan struct{})}, make(chan struct{})
		ctx, leave := context.WithCancel(t.Context())
		request := func() *http.Request {
			r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/debug/herz/api/events", http.NoBody)
			r.RemoteAddr, r.Host = "127.0.0.1:1", "localhost"
			return r
		}
		good := &stuck{ResponseRecorder: httptest.NewRecorder()}
		var all sync.WaitGroup
		all.Go(func() { b.ServeHTTP(good, request()) })
		all.Go(func() { b.ServeHTTP(slow, request()); close(ended) })
		time.Sleep(20*time.Second + 500*time.Millisecond)
		close(slow.free) // the write ends; the watcher is long overtaken
		synctest.Wait()
		select {
		case <-ended:
		default:
			t.Error("a watcher that had fallen behind was kept")
		}
		if n := good.events(); n != 21 {
			t.Errorf("the other watcher got %d events in 20.5 s, want 21", n)
		}
		leave()
		all.Wait()
	})
}

// stuck is a ResponseWriter whose writes wait until free is closed; nil never waits.
type stuck struct {
	*httptest.ResponseRecorder
	free chan struct{}
}

func (s *stuck) Write(b []byte) (int, error) {
	if s.free != nil {
		<-s.free
	}
	return s.ResponseRecorder.Write(b)
}

func (s *stuck) events() int { return strings.Count(s.Body.String(), "event: state\n") }

// TestWatcherThatReadsNothingIsGivenUp: over a real socket the write itself is bounded.
func TestWatcherThatReadsNothingIsGivenUp(t *testing.T) {
	gone := make(chan struct{})
	b := board.New(board.Config{Every: 100 * time.Millisecond, Sources: []board.Source{&huge{}}})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(gone)
		b.ServeHTTP(w, r)
	}))
	defer s.Close()
	nc, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err = io.WriteString(nc, "GET /debug/herz/api/events HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	limit := time.NewTimer(3 * patience)
	defer limit.Stop()
	select {
	case <-gone:
	case <-limit.C:
		t.Fatal("the handler still serves a watcher that reads nothing")
	}
}

// huge has connections enough to fill every socket buffer.
type huge struct{ still }

func (*huge) Snapshot() []pool.ConnInfo {
	return make([]pool.ConnInfo, 2000)
}

func (*huge) Deaths() []conn.Death {
	return []conn.Death{{Cause: conn.Error, Detail: strings.Repeat("x", 4<<20)}}
}

func TestOneWatcherTooManyIsRefused(t *testing.T) {
	b := board.New(board.Config{MaxWatchers: 1})
	url := serve(t, b)
	events, leave := watch(t, url)
	next(t, events)
	refused := ask(b, "GET", "/debug/herz/api/events")
	if refused.Status != http.StatusServiceUnavailable || !strings.Contains(refused.Body, "MaxWatchers") {
		t.Errorf("the second watcher gets %d: %s", refused.Status, refused.Body)
	}
	leave()
	for deadline := time.Now().Add(patience); ; {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		again := ask(b, "GET", "/debug/herz/api/events", func(r *http.Request) { *r = *r.WithContext(ctx) })
		cancel()
		if again.Status == http.StatusOK {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the place of a watcher who left is still taken: %d", again.Status)
		}
	}
}

// TestComingAndGoingLeavesNothing: watchers join and leave at all moments; goleak looks at the end.
func TestComingAndGoingLeavesNothing(t *testing.T) {
	s := &still{name: "orders"}
	b := board.New(board.Config{Every: 100 * time.Millisecond, Sources: []board.Source{s}})
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 50 {
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration((i+j)%5)*time.Millisecond)
				ask(b, "GET", "/debug/herz/api/events", func(r *http.Request) { *r = *r.WithContext(ctx) })
				cancel()
			}
		})
	}
	all.Wait()
	if s.asked.Load() == 0 {
		t.Error("nobody was shown anything")
	}
}

// TestOpenPageHoldsUpNoGracefulEnd: Shutdown waits for every handler, and must not wait for somebody to close a page.
func TestOpenPageHoldsUpNoGracefulEnd(t *testing.T) {
	b := board.New(board.Config{Every: time.Hour})
	s := httptest.NewServer(b)
	defer s.Close()
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	var pages []*bufio.Reader
	for range 2 {
		events, leave := watch(t, s.URL)
		defer leave()
		next(t, events)
		pages = append(pages, events)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for range 2 { // a second call is allowed
		if err := s.Config.Shutdown(ctx); err != nil {
			t.Fatalf("with open pages the server does not end: %v", err)
		}
	}
	for _, events := range pages {
		if rest, err := io.ReadAll(events); err != nil || len(rest) > 0 {
			t.Errorf("a stream ends with %q, %v; want the plain end", rest, err)
		}
	}
}

// TestGracefulEndOfOneServerLeavesTheOthers: one board may be mounted on several servers.
func TestGracefulEndOfOneServerLeavesTheOthers(t *testing.T) {
	b := board.New(board.Config{Every: 100 * time.Millisecond})
	ending, staying := httptest.NewServer(b), serve(t, b)
	defer ending.Close()
	gone, leaveGone := watch(t, ending.URL)
	defer leaveGone()
	next(t, gone)
	kept, leaveKept := watch(t, staying)
	defer leaveKept()
	next(t, kept)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := ending.Config.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	for range backlogAndMore {
		next(t, kept)
	}
}

// backlogAndMore is more events than can have waited in a stream.
const backlogAndMore = 5

func TestWatcherOfChangesGetsAWholeStateFirst(t *testing.T) {
	s := &still{name: "orders"}
	b := board.New(board.Config{Sources: []board.Source{s}})
	synctest.Test(t, func(t *testing.T) {
		ctx, leave := context.WithCancel(t.Context())
		request := func(query string) *http.Request {
			r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/debug/herz/api/events"+query, http.NoBody)
			r.RemoteAddr, r.Host = "127.0.0.1:1", "localhost"
			return r
		}
		first, late, old := httptest.NewRecorder(), httptest.NewRecorder(), httptest.NewRecorder()
		var all sync.WaitGroup
		all.Go(func() { b.ServeHTTP(first, request("?deltas=1")) })
		time.Sleep(2*time.Second + 500*time.Millisecond)
		all.Go(func() { b.ServeHTTP(late, request("?deltas=1")) })
		all.Go(func() { b.ServeHTTP(old, request("")) })
		time.Sleep(3 * time.Second)
		leave()
		all.Wait()
		for name, c := range map[string]struct {
			got            *httptest.ResponseRecorder
			states, deltas int
		}{"the first": {first, 1, 5}, "who came later": {late, 1, 3}, "who wants whole states": {old, 4, 0}} {
			body := c.got.Body.String()
			states, deltas := strings.Count(body, "event: state\n"), strings.Count(body, "event: delta\n")
			if states != c.states || deltas != c.deltas || !strings.HasPrefix(body, "event: state\n") {
				t.Errorf("%s got %d states and %d changes, want %d and %d:\n%.200s", name, states, deltas, c.states, c.deltas, body)
			}
		}
		if n := s.asked.Load(); n != 6 {
			t.Errorf("the source was asked %d times in 5.5 s, want 6", n)
		}
	})
}
