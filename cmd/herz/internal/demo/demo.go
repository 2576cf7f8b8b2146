package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"herz.example/herz/board"
	"herz.example/herz/cmd/herz/internal/demo/client"
	"herz.example/herz/cmd/herz/internal/demo/judge"
	"herz.example/herz/cmd/herz/internal/demo/live"
	"herz.example/herz/cmd/herz/internal/demo/load"
	"herz.example/herz/cmd/herz/internal/demo/page"
	"herz.example/herz/cmd/herz/internal/demo/proxy"
	"herz.example/herz/cmd/herz/internal/demo/script"
)

// Config says what is shown. The zero value repeats the whole script against embedded servers until ctx ends.
type Config struct {
	Once     bool          // the script once
	Duration time.Duration // how long; 0: one round with Once, else until ctx ends
	Faults   []string      // names; none: all
	Addr     string        // of the page, on loopback; "": a free port
	MySQL    string        // data source name of a server; "": embedded
	Redis    string        // address of a server; "": embedded
	Seed     uint64

	Started func(url string)                       // the page is there; nil: nobody is told
	Fault   func(at time.Duration, e script.Event) // a fault changed; nil: nobody is told
}

const (
	drainMax   = judge.Patience + 300*time.Millisecond // after the end, for the requests that are out
	checkEvery = time.Second
	rounds     = 24 * time.Hour // the plan of a run without an end
	embedded   = "embedded"
)

// Check says what is wrong with a configuration, before anything is started.
func (c Config) Check() error {
	if c.Duration < 0 {
		return inputError("--duration is %v; give a positive time, such as 30s", c.Duration)
	}
	if c.Duration > rounds {
		return inputError("--duration is %v; give at most 24h, or leave it out to run until Ctrl-C", c.Duration)
	}
	if c.Addr != "" {
		host, port, err := net.SplitHostPort(c.Addr)
		if err != nil {
			return inputError("--addr is %q, which is no address; write it as 127.0.0.1:7380", c.Addr)
		}
		if !live.IsLoopback(host) {
			return inputError("--addr is %q, and the page shows itself on loopback only; use 127.0.0.1:%s", c.Addr, port)
		}
		if _, err = strconv.ParseUint(port, 10, 16); err != nil {
			return inputError("--addr has the port %q; use a number from 0 to 65535, 0 for any free one", port)
		}
	}
	if _, err := script.Choose(c.Faults); err != nil {
		return inputError("--fault: %v", err)
	}
	if c.MySQL != "" {
		if _, err := ParseMySQL(c.MySQL); err != nil {
			return err
		}
	}
	if c.Redis != "" {
		return CheckRedis(c.Redis)
	}
	return nil
}

// Run shows the demo to its end, or until ctx ends, and gives the report either way. An error means that it could not be shown;
// it is an *InputError where the caller can change that.
func Run(ctx context.Context, c Config) (Report, error) {
	if err := c.Check(); err != nil {
		return Report{}, err
	}
	r := &run{cfg: c, name: strconv.FormatInt(time.Now().UnixNano(), 36)}
	defer r.close()
	if err := r.open(ctx); err != nil {
		return Report{}, err
	}
	r.show(ctx)
	return r.report(), nil
}

// run is one run of the demo.
type run struct {
	cfg   Config
	name  string // unique, in the names of keys and tables
	start time.Time
	gate  load.Gate

	mysql, redis           backend
	mysqlProxy, redisProxy *proxy.Proxy
	clients                []*client.Client
	books                  []*judge.Book
	page                   *http.Server
	pageDone               chan struct{}
	board                  *board.Board
	length                 time.Duration // 0: without an end

	// mu guards the fields below. Nothing slow happens under it.
	mu      sync.Mutex
	events  []script.Event
	lines   []live.Line
	done    bool
	verdict *judge.Verdict
	final   []judge.Tally // once done
}

func (r *run) prefix() string { return "herz-demo-" + r.name + ":" }

// open starts everything but the users and the faults.
func (r *run) open(ctx context.Context) error {
	l, err := r.listen(ctx)
	if err != nil {
		return err
	}
	if err = r.openClients(ctx); err != nil {
		return errors.Join(err, l.Close())
	}
	r.start = time.Now()
	for range r.clients {
		r.books = append(r.books, judge.NewBook(r.start))
	}
	r.servePage(l)
	return nil
}

func (r *run) listen(ctx context.Context) (net.Listener, error) {
	addr := r.cfg.Addr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, inputError("--addr %s is in use; choose another port, or 127.0.0.1:0 for any free one", addr)
	case err != nil:
		return nil, inputError("--addr %s cannot be listened on: %v; use 127.0.0.1:0 for any free port", addr, err)
	}
	return l, nil
}

func (r *run) openClients(ctx context.Context) error {
	values := load.Values(r.prefix())
	my, cfg, tables, err := openMySQL(ctx, r.cfg.MySQL, r.name, values)
	if err != nil {
		return err
	}
	r.mysql = my
	if r.redis, err = openRedis(ctx, r.cfg.Redis, values); err != nil {
		return err
	}
	if r.mysqlProxy, err = proxy.Listen(ctx, r.mysql.Addr(), r.cfg.Seed); err != nil {
		return err
	}
	if r.redisProxy, err = proxy.Listen(ctx, r.redis.Addr(), r.cfg.Seed); err != nil {
		return err
	}
	cfg = cfg.Clone()
	cfg.Addr = r.mysqlProxy.Addr()
	r.clients, err = client.OpenAll(ctx, client.Targets{
		MySQL: cfg, Tables: tables, Redis: &redis.Options{Addr: r.redisProxy.Addr()},
		ToldMySQL: r.mysqlProxy.Told, ToldRedis: r.redisProxy.Told,
	})
	return err
}

func (r *run) servePage(l net.Listener) {
	r.board = board.New(board.Config{})
	for _, c := range r.clients {
		if c.Wall != nil {
			r.board.Add(c.Wall)
		}
	}
	r.page = &http.Server{
		Handler:           live.Handler(r.state, page.Handler(), board.DefaultPrefix, r.board),
		ReadHeaderTimeout: 5 * time.Second, ErrorLog: log.New(io.Discard, "", 0),
	}
	r.pageDone = make(chan struct{})
	go func() {
		defer close(r.pageDone)
		_ = r.page.Serve(l)
	}()
	if r.cfg.Started != nil {
		r.cfg.Started("http://" + l.Addr().String() + "/")
	}
}

// show lets the users work while the script goes on.
func (r *run) show(ctx context.Context) {
	faults, _ := script.Choose(r.cfg.Faults) // checked before
	plan := script.Once(faults, r.planned(), r.cfg.Seed)
	if r.cfg.Once || r.cfg.Duration > 0 {
		r.length = plan.Length
	}
	r.mu.Lock()
	r.events = plan.Events
	r.mu.Unlock()

	stop, stopAll := context.WithCancel(ctx)
	cut, cutAll := context.WithCancel(ctx)
	defer cutAll()
	defer stopAll()
	var users, checks sync.WaitGroup
	for i, c := range r.clients {
		users.Go(func() {
			load.Run(stop, cut, load.Config{
				URL: c.URL, Book: r.books[i], Gate: &r.gate, Prefix: r.prefix(), Name: strconv.Itoa(i), Seed: r.cfg.Seed,
			})
		})
	}
	checking, endChecks := context.WithCancel(ctx)
	checks.Go(func() { r.keepChecking(checking) })

	script.Run(ctx, script.Stage{Proxies: []*proxy.Proxy{r.mysqlProxy, r.redisProxy}, Gate: &r.gate}, plan, r.start, r.changed)

	stopAll()
	late := time.AfterFunc(drainMax, cutAll)
	users.Wait()
	late.Stop()
	endChecks()
	checks.Wait()
	r.decide(ctx)
}

func (r *run) planned() time.Duration {
	switch {
	case r.cfg.Duration > 0:
		return r.cfg.Duration
	case r.cfg.Once:
		return 0
	default:
		return rounds
	}
}

func (r *run) changed(i int, e script.Event) {
	at := time.Since(r.start)
	r.mu.Lock()
	r.events[i] = e
	r.mu.Unlock()
	switch e.State {
	case script.Active:
		r.say("fault", "", e.Title+": "+e.Words)
	case script.Over:
		r.say("fault", "", e.Title+": over")
	case script.LeftOut:
		r.say("fault", "", e.Title+" is left out: "+e.Why)
	default:
	}
	if r.cfg.Fault != nil {
		r.cfg.Fault(at, e)
	}
}

// keepChecking asks the servers now and then what they have executed, and notes what the clients begin to suffer.
func (r *run) keepChecking(ctx context.Context) {
	t := time.NewTicker(checkEvery)
	defer t.Stop()
	before := make([]judge.Tally, len(r.clients))
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		r.check(ctx)
		for i, c := range r.clients {
			now := r.tally(i)
			for _, line := range news(c.Kind, before[i], now) {
				r.say(string(c.Kind), c.Name, line)
			}
			before[i] = now
		}
	}
}

// check asks past the proxies how often each request was executed. What cannot be asked is asked again the next time.
func (r *run) check(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, setupMax)
	defer cancel()
	for i, c := range r.clients {
		of := r.mysql
		if c.Redis {
			of = r.redis
		}
		asked, at := r.books[i].Adds(), time.Now()
		times, err := of.Counts(ctx, asked)
		if err != nil {
			r.say(string(c.Kind), c.Name, fmt.Sprintf("the server could not be asked what it has executed: %v", err))
			continue
		}
		if settled := r.books[i].Executed(asked, times, at); len(settled) > 0 {
			_ = of.Forget(ctx, settled) // what stays goes with the run
		}
	}
}

// decide asks the servers a last time and gives the verdict.
func (r *run) decide(ctx context.Context) {
	r.check(context.WithoutCancel(ctx))
	var lines []judge.Line
	var final []judge.Tally
	for i, c := range r.clients {
		t := r.tally(i)
		final = append(final, t)
		lines = append(lines, judge.Line{Name: c.Name, Promised: c.Kind == client.Herz, Tally: t})
	}
	happened, leftOut := 0, 0
	r.mu.Lock()
	for _, e := range r.events {
		switch e.State {
		case script.Active, script.Over:
			happened++
		case script.LeftOut:
			leftOut++
		default:
		}
	}
	r.mu.Unlock()
	v := judge.Decide(lines, happened, leftOut)
	r.mu.Lock()
	r.verdict, r.final, r.done = &v, final, true
	r.mu.Unlock()
}

func (r *run) tally(i int) judge.Tally {
	t := r.books[i].Tally(time.Now())
	t.DeadLent = r.clients[i].Tap.DeadLent()
	return t
}

// lastLook is how long the page stays after the end, so that whoever watches gets the last state.
const lastLook = 2 * live.Every

// close ends everything that was started, in the opposite order.
func (r *run) close() {
	if r.page != nil {
		ctx, cancel := context.WithTimeout(context.Background(), lastLook)
		defer cancel()
		if r.page.Shutdown(ctx) != nil {
			_ = r.page.Close()
		}
		<-r.pageDone
	}
	_ = client.CloseAll(r.clients)
	for _, p := range []*proxy.Proxy{r.mysqlProxy, r.redisProxy} {
		if p != nil {
			_ = p.Close()
		}
	}
	r.forget()
	for _, b := range []backend{r.mysql, r.redis} {
		if b != nil {
			_ = b.Close()
		}
	}
}

// forget frees what the servers keep of the requests of the run; a real one would keep it for ever.
func (r *run) forget() {
	ctx, cancel := context.WithTimeout(context.Background(), setupMax)
	defer cancel()
	for i, b := range r.books {
		of := r.mysql
		if r.clients[i].Redis {
			of = r.redis
		}
		_ = of.Forget(ctx, b.Adds())
	}
}
