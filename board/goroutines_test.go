package board_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"herz.example/herz/board"
	"herz.example/herz/guard"
	"herz.example/herz/pool"
)

// serveOrder waits in line, as a handler of a program would.
func serveOrder(ctx context.Context, p *pool.Pool[net.Conn]) {
	if l, err := p.Acquire(ctx); err == nil {
		l.Release()
	}
}

// readAnswer reads what does not come.
func readAnswer(nc net.Conn) { _, _ = nc.Read(make([]byte, 1)) }

type groups []struct {
	Pool, Doing, State, Site string
	Count                    int
}

// look asks which goroutines work for pools, until what is wanted is there.
func look(t *testing.T, b *board.Board, there func(groups) bool) groups {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(200 * time.Millisecond) {
		got := ask(b, "GET", "/debug/herz/api/goroutines")
		var answer struct {
			Total  int
			Groups groups
		}
		if err := json.Unmarshal([]byte(got.Body), &answer); err != nil || got.Status != http.StatusOK {
			t.Fatalf("%d, %v: %s", got.Status, err, got.Body)
		}
		if there(answer.Groups) {
			if answer.Total < runtime.NumGoroutine()/2 {
				t.Errorf("%d goroutines of %d were seen", answer.Total, runtime.NumGoroutine())
			}
			return answer.Groups
		}
		if time.Now().After(deadline) {
			t.Fatalf("never there: %s", got.Body)
		}
	}
}

func TestGoroutinesAreShownByThePoolTheyWorkFor(t *testing.T) {
	var mu sync.Mutex
	var ends []net.Conn
	t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		for _, nc := range ends {
			_ = nc.Close()
		}
	})
	open := func(name string) *pool.Pool[net.Conn] {
		p, err := pool.New(pool.Config[net.Conn]{
			Name: name, Limits: pool.Limits{MaxOpen: 1}, Dial: func(context.Context) (net.Conn, error) {
				near, far := net.Pipe()
				mu.Lock()
				defer mu.Unlock()
				ends = append(ends, far)
				return guard.Wrap(near, guard.Options{}), nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.Close() })
		return p
	}
	orders, users := open("orders"), open("users")
	b := board.New(board.Config{Sources: []board.Source{orders, users}})
	ctx, leave := context.WithCancel(t.Context())
	var all sync.WaitGroup
	defer all.Wait()
	defer leave()
	held, err := orders.Acquire(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Release()
	other, err := users.Acquire(ctx)
	if err != nil {
		t.Fatal(err)
	}
	all.Go(func() { readAnswer(other.Value()) })
	defer other.Discard(nil)
	for range 3 {
		all.Go(func() { serveOrder(ctx, orders) })
	}
	find := func(g groups, poolName, doing, site string) int {
		for _, x := range g {
			if x.Pool == poolName && strings.HasPrefix(x.Doing, doing) && strings.Contains(x.Site, site) {
				return x.Count
			}
		}
		return 0
	}
	got := look(t, b, func(g groups) bool {
		return find(g, "orders", "waits", "board_test.serveOrder goroutines_test.go:") == 3 && find(g, "users", "reads", "board_test.readAnswer goroutines_test.go:") == 1
	})
	if find(got, "users", "waits", "") != 0 || find(got, "", "", "") != 0 {
		t.Errorf("%+v", got)
	}
}

func TestImpatientReadersDoNotStopTheProgramAgainAndAgain(t *testing.T) {
	b := board.New(board.Config{})
	first := ask(b, "GET", "/debug/herz/api/goroutines")
	if again := ask(b, "GET", "/debug/herz/api/goroutines"); again.Body != first.Body {
		t.Error("a second look within a second was a look of its own")
	}
}
