package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-cleanhttp"
	"github.com/hashicorp/go-retryablehttp"
	"github.com/valyala/fasthttp"
	"resty.dev/v3"

	"herz.example/herz/bench/record"
)

// losses are what became of one client's POSTs to one server.
type losses struct {
	Server string `json:"server"`
	Client string `json:"client"`
	Sent   int64  `json:"sent"`
	Failed int64  `json:"failed"`
	Twice  int64  `json:"twice"` // orders that the server executed more than once
	Dials  int64  `json:"dials"`
}

// poster sends one POST with a number.
type poster struct {
	name string
	post func(ctx context.Context, url string, id int64) error
	end  func()
}

// posters are the clients as their documentation has them, but for the number of idle connections of net/http, see trusting.
func posters() ([]poster, error) {
	ours, err := ourClient(nil)
	if err != nil {
		return nil, err
	}
	retrying := retryablehttp.NewClient()
	retrying.Logger = nil
	retrying.RetryWaitMin, retrying.RetryWaitMax = time.Millisecond, 10*time.Millisecond // in place of 1 s to 30 s, so that the run ends
	restful := resty.New()
	fast := &fasthttp.Client{}
	clean := cleanhttp.DefaultPooledTransport()
	clean.MaxIdleConnsPerHost = 100
	trusting := plainClient()
	return []poster{
		byRoundTrip(plainName, trusting),
		byRoundTrip("go-cleanhttp", closing{clean, clean.CloseIdleConnections}),
		{"resty v3", func(ctx context.Context, url string, id int64) error {
			resp, err := restful.R().SetContext(ctx).SetHeader(idHeader, strconv.FormatInt(id, 10)).SetBody("an order").Post(url)
			if err == nil && resp.StatusCode() >= 300 {
				err = fmt.Errorf("status %d", resp.StatusCode())
			}
			return err
		}, func() { _ = restful.Close() }},
		{"fasthttp", func(_ context.Context, url string, id int64) error { return postFast(fast, url, id) }, fast.CloseIdleConnections},
		{"go-retryablehttp", func(ctx context.Context, url string, id int64) error {
			req, err := retryablehttp.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader("an order"))
			if err != nil {
				return err
			}
			req.Header.Set(idHeader, strconv.FormatInt(id, 10))
			resp, err := retrying.Do(req)
			if err != nil {
				return err
			}
			_, err = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			return err
		}, retrying.HTTPClient.CloseIdleConnections},
		byRoundTrip(oursName, ours),
	}, nil
}

const idHeader = "X-Order"

func byRoundTrip(name string, c closing) poster {
	return poster{name, func(ctx context.Context, url string, id int64) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader("an order"))
		if err != nil {
			return err
		}
		req.Header.Set(idHeader, strconv.FormatInt(id, 10))
		resp, err := c.RoundTrip(req)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		return err
	}, c.end}
}

func postFast(c *fasthttp.Client, url string, id int64) error {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.SetRequestURI(url)
	req.Header.SetMethod(http.MethodPost)
	req.Header.Set(idHeader, strconv.FormatInt(id, 10))
	req.SetBodyString("an order")
	return c.Do(req, resp)
}

// book counts what a server executed.
type book struct {
	// mu guards times. Nothing is called under it.
	mu    sync.Mutex
	times map[int64]int
	dials atomic.Int64
}

func (b *book) execute(h http.Header) {
	id, _ := strconv.ParseInt(h.Get(idHeader), 10, 64) // 0: a request that is nobody's order
	b.mu.Lock()
	defer b.mu.Unlock()
	b.times[id]++
}

// twice is how many orders were executed more than once; it forgets all of them.
func (b *book) twice() (n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, times := range b.times {
		if times > 1 {
			n++
		}
	}
	b.times = map[int64]int{}
	return n
}

const (
	workers    = 12
	raceChunks = 10
	idleTime   = 5 * time.Millisecond
)

// measureLosses has every client post to a server of its own that closes connections which rest for 5 ms, a tenth of its orders at a time.
func (r *report) measureLosses(ctx context.Context) error {
	list, err := posters()
	if err != nil {
		return err
	}
	var servers []*http.Server
	var urls []string
	var books []*book
	for _, p := range list {
		b := &book{times: map[int64]int{}}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		s := &http.Server{
			IdleTimeout: idleTime, ReadHeaderTimeout: time.Minute,
			Handler: http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
				_, _ = io.Copy(io.Discard, req.Body)
				b.execute(req.Header)
			}),
			ConnState: func(_ net.Conn, state http.ConnState) {
				if state == http.StateNew {
					b.dials.Add(1)
				}
			},
		}
		go func() { _ = s.Serve(l) }()
		servers, books, urls = append(servers, s), append(books, b), append(urls, "http://"+l.Addr().String())
		r.Losses = append(r.Losses, &losses{Server: "closes idle connections", Client: p.name})
	}
	for range raceChunks {
		for _, i := range rand.Perm(len(list)) { //nolint:gosec // an order, and no secret
			row := r.Losses[i]
			failed := list[i].rush(ctx, urls[i], row.Sent, int64(r.Plan.Posts/raceChunks))
			row.Sent += int64(r.Plan.Posts / raceChunks)
			row.Failed += failed
		}
	}
	for i, p := range list {
		p.end()
		_ = servers[i].Close()
		r.Losses[i].Twice, r.Losses[i].Dials = books[i].twice(), books[i].dials.Load()
	}
	for _, row := range r.Losses {
		if row.Client == oursName {
			r.Verdict = append(r.Verdict,
				record.Finding{What: "POSTs lost to a server that closes idle connections, %", Must: .1}.Settle(100*float64(row.Failed)/float64(row.Sent), int(row.Sent)),
				record.Finding{What: "of those executed twice", Must: 0}.Settle(float64(row.Twice), int(row.Sent)))
		}
	}
	return ctx.Err()
}

// rush sends n orders from workers side by side, and counts those that failed.
func (p *poster) rush(ctx context.Context, url string, first, n int64) int64 {
	var next, failed atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for ctx.Err() == nil {
				id := next.Add(1)
				if id > n {
					return
				}
				if p.post(ctx, url, first+id) != nil {
					failed.Add(1)
				}
				time.Sleep(3500*time.Microsecond + rand.N(2500*time.Microsecond)) //nolint:gosec // a pace, and no secret
			}
		})
	}
	wg.Wait()
	return failed.Load()
}

// crimes are what a server does with the second request of a connection.
var crimes = []struct {
	name string
	do   func(nc *net.TCPConn, execute func())
}{
	{"executes, then resets", func(nc *net.TCPConn, execute func()) { execute(); _ = nc.SetLinger(0) }},
	{"executes, then closes", func(_ *net.TCPConn, execute func()) { execute() }},
	{"half-closes, then executes", func(nc *net.TCPConn, execute func()) {
		_ = nc.CloseWrite()
		execute()
		time.Sleep(2 * time.Millisecond)
	}},
}

// measureCrimes has every client post to servers that execute an order and then lose the connection without an answer.
func (r *report) measureCrimes(ctx context.Context) error {
	for _, crime := range crimes {
		list, err := posters()
		if err != nil {
			return err
		}
		for _, p := range list {
			row, err := accuse(ctx, p, crime.name, crime.do, r.Plan.Villains)
			if err != nil {
				return err
			}
			r.Crimes = append(r.Crimes, row)
			if p.name == oursName {
				r.Verdict = append(r.Verdict,
					record.Finding{What: "POSTs executed twice by a server that " + crime.name, Must: 0}.Settle(float64(row.Twice), int(row.Sent)))
			}
		}
		for _, p := range list {
			p.end()
		}
	}
	return ctx.Err()
}

// accuse lets one client post to a server of the kind.
func accuse(ctx context.Context, p poster, name string, do func(*net.TCPConn, func()), n int) (*losses, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b := &book{times: map[int64]int{}}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			b.dials.Add(1)
			wg.Go(func() { b.betray(nc.(*net.TCPConn), do) })
		}
	})
	row := &losses{Server: name, Client: p.name}
	for id := range int64(n) {
		row.Sent++
		if p.post(ctx, "http://"+l.Addr().String(), id+1) != nil {
			row.Failed++
		}
	}
	p.end()
	_ = l.Close()
	wg.Wait()
	row.Twice, row.Dials = b.twice(), b.dials.Load()
	return row, ctx.Err()
}

// betray answers the first request of a connection.
func (b *book) betray(nc *net.TCPConn, do func(*net.TCPConn, func())) {
	defer func() { _ = nc.Close() }()
	in := bufio.NewReader(nc)
	for n := 0; ; n++ {
		_ = nc.SetReadDeadline(time.Now().Add(10 * time.Second))
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		execute := func() {
			_, _ = io.Copy(io.Discard, req.Body)
			b.execute(req.Header)
		}
		if n > 0 {
			do(nc, execute)
			return
		}
		execute()
		_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	}
}

func writeLosses(b *strings.Builder, title string, rows []*losses) {
	fmt.Fprintf(b, "\n## %s\n\n| server | client | POSTs | failed | %% | executed twice | connections |\n|---|---|--:|--:|--:|--:|--:|\n", title)
	for _, l := range rows {
		share := 100 * float64(l.Failed) / float64(max(l.Sent, 1))
		fmt.Fprintf(b, "| %s | %s | %d | %d | %.3f | %d | %d |\n", l.Server, l.Client, l.Sent, l.Failed, share, l.Twice, l.Dials)
	}
}
