package load

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"time"

	"herz.example/herz/cmd/herz/internal/demo/client"
	"herz.example/herz/cmd/herz/internal/demo/judge"
)

// Workers is the number of users of each client.
const Workers = 8

// Keys is the number of keys that are read.
const Keys = 32

// Between two requests a worker thinks for a time between these.
const (
	thinkMin = 30 * time.Millisecond
	thinkMax = 90 * time.Millisecond
)

// Values gives what is to be read: by key, with all keys under prefix.
func Values(prefix string) map[string]string {
	v := make(map[string]string, Keys)
	for i := range Keys {
		v[key(prefix, i)] = value(i)
	}
	return v
}

func key(prefix string, i int) string { return fmt.Sprintf("%skey-%02d", prefix, i) }
func value(i int) string              { return fmt.Sprintf("value-of-key-%02d", i) }

// Gate holds the users back while it is shut.
type Gate struct {
	// mu guards shut. Nothing else happens under it.
	mu   sync.Mutex
	shut chan struct{} // not nil while the gate is shut; closed when it opens
}

// Shut makes the users pause after their current request.
func (g *Gate) Shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut == nil {
		g.shut = make(chan struct{})
	}
}

// Open lets them go on.
func (g *Gate) Open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut != nil {
		close(g.shut)
		g.shut = nil
	}
}

func (g *Gate) pass(done <-chan struct{}) {
	g.mu.Lock()
	shut := g.shut
	g.mu.Unlock()
	if shut == nil {
		return
	}
	select {
	case <-shut:
	case <-done:
	}
}

// Config is one client and its users.
type Config struct {
	URL    string
	Book   *judge.Book
	Gate   *Gate
	Prefix string // of all keys
	Name   string // of the client, in the names of its requests
	Seed   uint64
}

// Run lets the users work until stop ends. Requests that are out then may go on until cut ends.
func Run(stop, cut context.Context, c Config) {
	t := &http.Transport{MaxIdleConnsPerHost: Workers, DisableCompression: true}
	defer t.CloseIdleConnections()
	h := &http.Client{Transport: t}
	var all sync.WaitGroup
	for i := range Workers {
		all.Go(func() {
			w := worker{Config: c, http: h, serial: i, random: rand.New(rand.NewPCG(c.Seed, uint64(i)))} //nolint:gosec // repeatable on purpose
			w.run(stop, cut)
		})
	}
	all.Wait()
}

type worker struct {
	Config
	http   *http.Client
	serial int
	random *rand.Rand
}

func (w *worker) run(stop, cut context.Context) {
	t := time.NewTimer(0)
	defer t.Stop()
	for n := 0; ; n++ {
		t.Reset(thinkMin + time.Duration(w.random.Int64N(int64(thinkMax-thinkMin))))
		select {
		case <-t.C:
		case <-stop.Done():
			return
		}
		w.Gate.pass(stop.Done())
		if stop.Err() != nil {
			return
		}
		if w.random.IntN(3) == 0 {
			id := fmt.Sprintf("%sadd-%s-%d-%d", w.Prefix, w.Name, w.serial, n)
			w.ask(cut, http.MethodPost, "/add?request="+url.QueryEscape(id), id, "1")
		} else {
			k := w.random.IntN(Keys)
			w.ask(cut, http.MethodGet, "/read?key="+url.QueryEscape(key(w.Prefix, k)), "", value(k))
		}
	}
}

func (w *worker) ask(ctx context.Context, method, path, id, want string) {
	req, err := http.NewRequestWithContext(ctx, method, w.URL+path, nil)
	if err != nil {
		panic(err) //nolint:forbidigo // the URL is our own
	}
	r := w.Book.Begin(id, time.Now())
	status, got, err := w.answer(req)
	switch {
	case err != nil && ctx.Err() != nil:
		w.Book.Cut(r, time.Now())
	case err != nil:
		w.Book.End(r, judge.Failed, time.Now())
	default:
		w.Book.End(r, judge.Look(status, got, want), time.Now())
	}
}

func (w *worker) answer(req *http.Request) (status int, value string, err error) {
	resp, err := w.http.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return 0, "", err
	}
	if len(body) == 0 {
		return resp.StatusCode, "", nil
	}
	var a client.Answer
	if resp.StatusCode == http.StatusOK {
		if err = json.Unmarshal(body, &a); err != nil {
			return resp.StatusCode, "no JSON", nil //nolint:nilerr // a body that is not ours is a wrong answer
		}
	}
	return resp.StatusCode, a.Value, nil
}
