package board_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"herz.example/herz/board"
	"herz.example/herz/conn"
	"herz.example/herz/herzsql"
	"herz.example/herz/pool"
)

var (
	_ board.Controller = (*pool.Pool[int])(nil)
	_ board.Controller = (*herzsql.View)(nil)
)

const secret = "0123456789abcdef0123456789abcdef"

// lever is a source that only counts what is done to it.
type lever struct {
	still
	acts   atomic.Int64
	evict  func(context.Context) (int, error)
	unable error
}

func (l *lever) EvictStale(ctx context.Context) (int, error) {
	l.acts.Add(1)
	if l.evict != nil {
		return l.evict(ctx)
	}
	return 3, nil
}
func (l *lever) SetLimits(pool.Limits) error     { l.acts.Add(1); return nil }
func (l *lever) Invalidate(error)                { l.acts.Add(1) }
func (l *lever) Drain(ctx context.Context) error { l.acts.Add(1); <-ctx.Done(); return ctx.Err() }
func (l *lever) Controllable() error             { return l.unable }

func token(t *testing.T) board.Token {
	t.Helper()
	tok, err := board.NewToken(secret)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// quiet keeps what a board logs out of the test's output.
func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// order posts an action as a caller on this machine with the token does.
func order(b http.Handler, name, verb, body string, change ...func(*http.Request)) answer {
	r := httptest.NewRequest(http.MethodPost, "/debug/herz/api/pools/"+url.PathEscape(name)+"/"+verb, strings.NewReader(body))
	r.RemoteAddr, r.Host = "127.0.0.1:50000", "localhost:6060"
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+secret)
	for _, f := range change {
		f(r)
	}
	w := httptest.NewRecorder()
	b.ServeHTTP(w, r)
	return answer{w.Code, w.Header(), w.Body.String()}
}

// said is an answer of the board as far as the tests look at it.
type said struct {
	Event  event   `json:"event"`
	Events []event `json:"events"`
	Error  struct {
		Code    string   `json:"code"`
		Message string   `json:"message"`
		Pools   []string `json:"pools"`
	} `json:"error"`
}

type event struct {
	ID      uint64         `json:"id"`
	At      time.Time      `json:"at"`
	Who     string         `json:"who"`
	From    string         `json:"from"`
	Action  string         `json:"action"`
	Pool    string         `json:"pool"`
	Outcome string         `json:"outcome"`
	Reason  string         `json:"reason"`
	Before  map[string]any `json:"before"`
	After   map[string]any `json:"after"`
	Closed  int            `json:"closed"`
	Detail  string         `json:"detail"`
}

func (a answer) said(t *testing.T) said {
	t.Helper()
	var s said
	if err := json.Unmarshal([]byte(a.Body), &s); err != nil {
		t.Fatalf("%d is no JSON: %v: %s", a.Status, err, a.Body)
	}
	return s
}

// audit is the record, newest first.
func audit(t *testing.T, b http.Handler) []event {
	t.Helper()
	return ask(b, "GET", "/debug/herz/api/audit").said(t).Events
}

func TestNobodyActsWhoMayNot(t *testing.T) {
	withToken := board.Config{Token: token(t), Logger: quiet()}
	for name, c := range map[string]struct {
		cfg    board.Config
		change func(*http.Request)
		status int
		says   string
	}{
		"no control":            {board.Config{Logger: quiet()}, header("X", "y"), 403, "board.Config.Token"},
		"no token":              {withToken, func(r *http.Request) { r.Header.Del("Authorization") }, 401, "Bearer"},
		"another token":         {withToken, header("Authorization", "Bearer "+strings.ToUpper(secret)), 401, "not the board's token"},
		"part of the token":     {withToken, header("Authorization", "Bearer "+secret[:31]), 401, "not the board's token"},
		"more than the token":   {withToken, header("Authorization", "Bearer "+secret+"0"), 401, "not the board's token"},
		"an empty token":        {withToken, header("Authorization", "Bearer "), 401, "not the board's token"},
		"another scheme":        {withToken, header("Authorization", "Basic "+secret), 401, "not the board's token"},
		"the token bare":        {withToken, header("Authorization", secret), 401, "not the board's token"},
		"a cookie":              {withToken, func(r *http.Request) { r.Header.Del("Authorization"); r.Header.Set("Cookie", "token="+secret) }, 401, "Bearer"},
		"a form":                {withToken, header("Content-Type", "text/plain"), 415, "application/json"},
		"no content type":       {withToken, func(r *http.Request) { r.Header.Del("Content-Type") }, 415, "application/json"},
		"another site's page":   {withToken, header("Sec-Fetch-Site", "cross-site"), 403, "another site"},
		"a sibling site's page": {withToken, header("Sec-Fetch-Site", "same-site"), 403, "another site"},
		"an old browser's page": {withToken, header("Origin", "https://evil.example"), 403, "another site"},
		"a sandboxed page":      {withToken, header("Origin", "null"), 403, "another site"},
		"a neighbour without the token": {withToken, func(r *http.Request) {
			r.Header.Del("Authorization")
			r.RemoteAddr = "192.0.2.7:1"
		}, 403, "machine it runs on"},
		"a neighbour with another token": {withToken, func(r *http.Request) {
			r.Header.Set("Authorization", "Bearer guess")
			r.RemoteAddr = "192.0.2.7:1"
		}, 403, "not the board's token"},
		"a hook that says no": {board.Config{Logger: quiet(), AuthorizeAction: func(*http.Request, board.Action) (string, error) {
			return "mallory", errors.New("the secret reason")
		}}, header("X", "y"), 403, "not allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			l := &lever{still: still{name: "orders"}}
			c.cfg.Sources = []board.Source{l}
			b := board.New(c.cfg)
			for _, verb := range []string{"evict", "limits", "invalidate", "drain"} {
				res := order(b, "orders", verb, `{"reason":"x"}`, c.change)
				if res.Status != c.status || !strings.Contains(res.Body, c.says) || strings.Contains(res.Body, "secret reason") {
					t.Errorf("%s is answered with %d: %s", verb, res.Status, res.Body)
				}
				if res.Status == 401 && !strings.HasPrefix(res.Header.Get("WWW-Authenticate"), "Bearer") {
					t.Error("401 without a challenge")
				}
			}
			if n := l.acts.Load(); n != 0 {
				t.Errorf("%d things were done", n)
			}
			events := audit(t, b)
			if len(events) != 4 {
				t.Fatalf("%d of 4 attempts are recorded", len(events))
			}
			for _, e := range events {
				if e.Outcome != "refused" || e.Pool != "orders" || e.From == "" || e.Detail == "" || e.At.IsZero() || strings.Contains(e.Detail, secret) {
					t.Errorf("recorded as %+v", e)
				}
			}
		})
	}
}

func TestActionsAreDoneByPostOnly(t *testing.T) {
	l := &lever{still: still{name: "orders"}}
	b := board.New(board.Config{Token: token(t), Logger: quiet(), Sources: []board.Source{l}})
	for _, method := range []string{"GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"} {
		res := ask(b, method, "/debug/herz/api/pools/orders/invalidate", header("Authorization", "Bearer "+secret))
		if res.Status != http.StatusMethodNotAllowed || res.Header.Get("Allow") != "POST" {
			t.Errorf("%s is answered with %d, Allow %q", method, res.Status, res.Header.Get("Allow"))
		}
	}
	if l.acts.Load() != 0 {
		t.Error("something was done")
	}
}

func TestWeakTokenIsRefusedAtTheStart(t *testing.T) {
	for _, weak := range []string{"", "secret", secret[:31], "  " + secret[:30] + "  ", secret[:16] + " " + secret[:16], secret + "ü"} {
		if _, err := board.NewToken(weak); err == nil || !strings.Contains(err.Error(), "openssl rand") {
			t.Errorf("%q: %v", weak, err)
		}
	}
	tok, err := board.NewToken(secret + "\n")
	if err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprintf("%v %+v %s", tok, tok, tok); strings.Contains(text, secret) || (board.Token{}).String() == tok.String() {
		t.Errorf("a token prints as %q", text)
	}
	b := board.New(board.Config{Token: board.Token{}, Logger: quiet(), Sources: []board.Source{&lever{still: still{name: "orders"}}}})
	if res := order(b, "orders", "evict", "", header("Authorization", "Bearer ")); res.Status != http.StatusForbidden {
		t.Errorf("the zero token is borne by an empty one: %d", res.Status)
	}
}

func TestBearerOfTheTokenIsServedFromElsewhere(t *testing.T) {
	b := board.New(board.Config{Token: token(t), Logger: quiet(), Sources: []board.Source{&lever{still: still{name: "orders"}}}})
	far := func(r *http.Request) { r.RemoteAddr, r.Host = "192.0.2.7:1", "app.example" }
	if res := ask(b, "GET", "/debug/herz/api/pools", far); res.Status != http.StatusForbidden {
		t.Errorf("without the token: %d", res.Status)
	}
	if res := ask(b, "GET", "/debug/herz/api/pools", far, header("Authorization", "bearer "+secret)); res.Status != http.StatusOK {
		t.Errorf("with the token: %d", res.Status)
	}
	if res := order(b, "orders", "evict", "{}", far); res.Status != http.StatusOK {
		t.Errorf("an action with the token: %d %s", res.Status, res.Body)
	}
	closed := board.New(board.Config{Token: token(t), Logger: quiet(), Authorize: func(*http.Request) error { return errors.New("no") }})
	if res := ask(closed, "GET", "/debug/herz/api/pools", header("Authorization", "Bearer "+secret)); res.Status != http.StatusForbidden {
		t.Errorf("the token goes past Authorize: %d", res.Status)
	}
}

func TestHookNamesWhoActs(t *testing.T) {
	var asked board.Action
	b := board.New(board.Config{
		Token: token(t), Logger: quiet(), Sources: []board.Source{&lever{still: still{name: "orders"}}},
		AuthorizeAction: func(r *http.Request, a board.Action) (string, error) {
			asked = a
			return r.Header.Get("X-User"), nil
		},
	})
	res := order(b, "orders", "evict", `{"reason":"cut\nflows"}`, header("X-User", "ada"), header("Authorization", ""), header("Sec-Fetch-Site", "same-origin"))
	e := res.said(t).Event
	if res.Status != 200 || e.Who != "ada" || e.Reason != "cut flows" || e.Closed != 3 || asked != (board.Action{Verb: board.Evict, Source: "orders"}) {
		t.Errorf("%d, asked for %+v, recorded %+v", res.Status, asked, e)
	}
}

// dialled is a pool of numbers, with n idle ones.
func dialled(t *testing.T, name string, n int) *pool.Pool[int64] {
	t.Helper()
	var last atomic.Int64
	p, err := pool.New(pool.Config[int64]{
		Name: name, Dial: func(context.Context) (int64, error) { return last.Add(1), nil }, Limits: pool.Limits{MinIdle: n},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	if err := p.WarmUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestActionsChangeThePoolAndAreRecorded(t *testing.T) {
	p := dialled(t, "", 3)
	b := board.New(board.Config{Token: token(t), Logger: quiet(), Sources: []board.Source{p}})
	lease, err := p.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer lease.Release()

	res := order(b, pool.DefaultPool, "limits", `{"max_open": 7, "max_idle_seconds": 2.5, "min_idle": 0, "reason": "sale"}`)
	e := res.said(t).Event
	if res.Status != 200 || e.Before["max_open"] != 10.0 || e.After["max_open"] != 7.0 || e.After["max_idle_seconds"] != 2.5 || len(e.After) != 3 {
		t.Fatalf("limits: %d %s", res.Status, res.Body)
	}
	if l := p.Limits(); l.MaxOpen != 7 || l.MaxIdleTime != 2500*time.Millisecond || l.MinIdle != 0 || l.MaxLifetime != pool.DefaultMaxLifetime {
		t.Errorf("the limits are %+v", l)
	}
	if res := order(b, pool.DefaultPool, "evict", ``); res.Status != 200 || res.said(t).Event.Closed != 0 {
		t.Errorf("evict: %d %s", res.Status, res.Body)
	}
	res = order(b, pool.DefaultPool, "invalidate", `{"reason":"moved"}`)
	if e := res.said(t).Event; res.Status != 200 || e.Before["generation"] != 1.0 || e.After["generation"] != 2.0 {
		t.Errorf("invalidate: %d %s", res.Status, res.Body)
	}
	for d := p.Deaths(); len(d) > 0; d = d[1:] {
		if d[0].Cause != conn.Generation || !strings.Contains(d[0].Detail, "token: moved") {
			t.Errorf("the death says %+v", d[0])
		}
	}

	res = order(b, pool.DefaultPool, "drain", `{"timeout_seconds": 0.05}`)
	if s := res.said(t); res.Status != http.StatusGatewayTimeout || s.Event.Outcome != "failed" || s.Error.Code != "timed_out" || s.Event.After["in_use"] != 1.0 {
		t.Errorf("a drain that cannot end: %d %s", res.Status, res.Body)
	}
	lease.Release()
	if res = order(b, pool.DefaultPool, "drain", `{"timeout_seconds": 5}`); res.Status != 200 {
		t.Errorf("drain: %d %s", res.Status, res.Body)
	}
	if _, err := p.Acquire(t.Context()); !errors.Is(err, pool.ErrClosed) {
		t.Errorf("the drained pool gives %v", err)
	}
	if res = order(b, pool.DefaultPool, "limits", `{"max_open": 9}`); res.Status != 500 || res.said(t).Event.Outcome != "failed" {
		t.Errorf("limits of a closed pool: %d %s", res.Status, res.Body)
	}

	var told []string
	for _, e := range audit(t, b) {
		told = append(told, e.Action+" "+e.Outcome)
		if e.Who != "token" || e.From != "127.0.0.1:50000" || e.Pool != pool.DefaultPool {
			t.Errorf("recorded as %+v", e)
		}
	}
	if got := strings.Join(told, ", "); got != "limits failed, drain done, drain failed, invalidate done, evict done, limits done" {
		t.Errorf("the record says %s", got)
	}
	snap := snapshot(t, b)
	if n := len(snap["audit"].([]any)); n != 6 {
		t.Errorf("the snapshot has %d of 6 events", n)
	}
	if c := snap["control"].(map[string]any); c["enabled"] != true || c["by"] != "token" {
		t.Errorf("the snapshot says of control %v", c)
	}
}

func TestLimitsAreChangedAsTheyWereMeantOrNotAtAll(t *testing.T) {
	p := dialled(t, "orders", 2)
	before := p.Limits()
	b := board.New(board.Config{Token: token(t), Logger: quiet(), Sources: []board.Source{p}})
	for body, says := range map[string]string{
		`{"max_opne": 7}`:                 `did you mean \"max_open\"?`,
		`{"Max_Open": 7}`:                 `did you mean \"max_open\"?`,
		`{"colour": 7}`:                   "known are max_open, min_idle",
		`{}`:                              "names no limit",
		``:                                "names no limit",
		`{"reason": "x"}`:                 "names no limit",
		`{"max_open": 7, "max_open": 8}`:  "twice",
		`{"max_open": 7} {"max_open": 8}`: "more than one",
		`{"max_open": 7`:                  "no JSON",
		`[7]`:                             "no JSON object",
		`null`:                            "no JSON object",
		`{"max_open": "7"}`:               "whole number",
		`{"max_open": 7.5}`:               "whole number",
		`{"max_open": 99999999999999}`:    "whole number",
		`{"max_open": true}`:              "whole number",
		`{"max_open": 0}`:                 "write null",
		`{"max_open": -1}`:                "max_open is -1; it must be 1 to 1048576; min_idle is 2",
		`{"max_open": 1}`:                 "min_idle is 2; it must be 0 to max_open (1)",
		`{"max_open": 7, "keep_warm_elastic": 2}`:                          "keep_warm_elastic is 2",
		`{"max_open": 7, "heartbeat_timeout_seconds": -1}`:                 "every wait needs a bound",
		`{"max_open": 7, "max_idle_seconds": "5m"}`:                        "number of seconds",
		`{"max_open": 7, "max_idle_seconds": 1e300}`:                       "number of seconds",
		`{"max_open": 7, "max_idle_seconds": 0}`:                           "write null",
		`{"max_open": 7, "test_on_borrow": 1}`:                             "true or false",
		`{"max_open": 7, "timeout_seconds": 1}`:                            "no field of limits",
		`{"max_open": 7, "reason": 1}`:                                     "must be a text",
		`{"max_open": 7, "max_lifetime_jitter_seconds": 1e6}`:              "must be less than max_lifetime",
		`{"max_open": 7, "reason": "` + strings.Repeat("a", 201) + `"}`:    "201 characters",
		`{"max_open": 7, "reason": "` + strings.Repeat("a", 17<<10) + `"}`: "longer than 16384 bytes",
	} {
		res := order(b, "orders", "limits", body)
		if res.Status < 400 || res.Status >= 500 || !strings.Contains(res.Body, says) {
			t.Errorf("%.80s is answered with %d: %s; want %s", body, res.Status, res.Body, says)
		}
		if p.Limits() != before {
			t.Fatalf("%.80s left %+v", body, p.Limits())
		}
	}
	for _, e := range audit(t, b) {
		if e.Outcome != "refused" || e.Before != nil || e.After != nil {
			t.Errorf("recorded as %+v", e)
		}
	}
	for body, says := range map[string]string{
		`{"timeout_seconds": 0}`: "0.001 to 600", `{"timeout_seconds": 601}`: "0.001 to 600", `{"timeout_seconds": null}`: "0.001 to 600",
		`{"max_open": 1}`: "no field of drain",
	} {
		if res := order(b, "orders", "drain", body); res.Status != 400 || !strings.Contains(res.Body, says) {
			t.Errorf("drain %s is answered with %d: %s", body, res.Status, res.Body)
		}
	}
}

func TestNullIsTheDefaultAndTheJitterFollowsTheLifetime(t *testing.T) {
	p := dialled(t, "orders", 0)
	b := board.New(board.Config{Token: token(t), Logger: quiet(), Sources: []board.Source{p}})
	order(b, "orders", "limits", `{"max_open": 7, "max_uses": 0}`)
	res := order(b, "orders", "limits", `{"max_open": null, "max_lifetime_seconds": 60}`)
	if l := p.Limits(); l.MaxOpen != pool.DefaultMaxOpen || l.MaxLifetime != time.Minute || l.MaxLifetimeJitter != 6*time.Second {
		t.Errorf("%d, the limits are %+v", res.Status, l)
	}
	if e := res.said(t).Event; e.After["max_lifetime_jitter_seconds"] != 6.0 {
		t.Errorf("what followed is not told: %+v", e)
	}
	order(b, "orders", "limits", `{"max_lifetime_jitter_seconds": 5}`)
	order(b, "orders", "limits", `{"max_lifetime_seconds": 90}`)
	if l := p.Limits(); l.MaxLifetimeJitter != 5*time.Second {
		t.Errorf("a jitter that was set became %v", l.MaxLifetimeJitter)
	}
}

func TestWhoIsMeantIsNeverGuessed(t *testing.T) {
	first, second, odd, nameless := &lever{still: still{name: "orders"}}, &lever{still: still{name: "orders"}}, &lever{still: still{name: "a/b c#9"}}, &lever{}
	b := board.New(board.Config{Token: token(t), Logger: quiet(), Sources: []board.Source{first, second, odd, nameless}})
	res := order(b, "orders", "evict", "")
	if s := res.said(t); res.Status != 409 || s.Error.Code != "ambiguous_pool" || strings.Join(s.Error.Pools, " ") != "orders#1 orders#2" {
		t.Errorf("a name that two have: %d %s", res.Status, res.Body)
	}
	for word, who := range map[string]*lever{"orders#2": second, "#1": first, "a/b c#9": odd, "a/b c#9#3": odd, "#4": nameless} {
		before := who.acts.Load()
		if res := order(b, word, "evict", ""); res.Status != 200 || who.acts.Load() != before+1 {
			t.Errorf("%q: %d %s", word, res.Status, res.Body)
		}
		if res := ask(b, "GET", "/debug/herz/api/pools/"+url.PathEscape(word)); res.Status != 200 || !strings.Contains(res.Body, `"conns":[`) {
			t.Errorf("%q is shown as %d %s", word, res.Status, res.Body)
		}
	}
	for word, says := range map[string]string{"ordres#2": "did you mean", "orders#3": "no pool", "users#1": "no pool", "#9": "no pool", "nothing at all": "known are orders#1, orders#2"} {
		res := order(b, word, "evict", "")
		if s := res.said(t); res.Status != 404 || s.Error.Code != "unknown_pool" || !strings.Contains(s.Error.Message, says) || len(s.Error.Pools) != 4 {
			t.Errorf("%q: %d %s", word, res.Status, res.Body)
		}
	}
	if res := order(b, "orders#1", "evcit", ""); res.Status != 404 || !strings.Contains(res.Body, `did you mean \"evict\"?`) {
		t.Errorf("an unknown action: %d %s", res.Status, res.Body)
	}
	if n := first.acts.Load() + second.acts.Load(); n != 2 {
		t.Errorf("%d actions on the namesakes, not 2", n)
	}
}

func TestSourceThatCannotActIsShownAsSuch(t *testing.T) {
	b := board.New(board.Config{Token: token(t), Logger: quiet(), Sources: []board.Source{
		&still{name: "shown"}, &lever{still: still{name: "foreign"}, unable: errors.New("it is not ours")}, &lever{still: still{name: "orders"}},
	}})
	for name, why := range map[string]string{"shown": "it only shows", "foreign": "it is not ours"} {
		if res := order(b, name, "evict", ""); res.Status != 409 || res.said(t).Error.Code != "not_controllable" || !strings.Contains(res.Body, why) {
			t.Errorf("%s: %d %s", name, res.Status, res.Body)
		}
		if src := source(t, snapshot(t, b), name); src["controllable"] != false {
			t.Errorf("%s is shown as controllable", name)
		}
	}
	if src := source(t, snapshot(t, b), "orders"); src["controllable"] != true || src["ref"] != "orders" || src["id"] != 3.0 {
		t.Errorf("orders is shown as %v %v %v", src["controllable"], src["ref"], src["id"])
	}
}

func TestOneActionAtATimeOnOneSource(t *testing.T) {
	begun, go_ := make(chan struct{}), make(chan struct{})
	l := &lever{still: still{name: "orders"}, evict: func(context.Context) (int, error) {
		close(begun)
		<-go_
		return 1, nil
	}}
	other := &lever{still: still{name: "users"}}
	b := board.New(board.Config{Token: token(t), Logger: quiet(), Sources: []board.Source{l, other}})
	var wg sync.WaitGroup
	wg.Go(func() {
		if res := order(b, "orders", "evict", ""); res.Status != 200 || !strings.Contains(res.Body, `"busy":""`) {
			t.Errorf("the first, which is over: %d %s", res.Status, res.Body)
		}
	})
	<-begun
	if src := source(t, snapshot(t, b), "orders"); src["busy"] != "evict" {
		t.Errorf("busy with %v", src["busy"])
	}
	if res := order(b, "orders", "invalidate", ""); res.Status != 409 || res.said(t).Error.Code != "busy" {
		t.Errorf("the second: %d %s", res.Status, res.Body)
	}
	if res := order(b, "users", "invalidate", ""); res.Status != 200 {
		t.Errorf("another source: %d", res.Status)
	}
	close(go_)
	wg.Wait()
	if res := order(b, "orders", "invalidate", ""); res.Status != 200 {
		t.Errorf("afterwards: %d", res.Status)
	}
}

// TestRecordOfWhatWasDoneCannotBePushedOut: whoever may not act cannot hide who did.
func TestRecordOfWhatWasDoneCannotBePushedOut(t *testing.T) {
	b := board.New(board.Config{Token: token(t), Logger: quiet(), MaxAudit: 5, Sources: []board.Source{&lever{still: still{name: "orders"}}}})
	order(b, "orders", "evict", `{"reason":"keep me"}`)
	for range 50 {
		order(b, "orders", "evict", "", header("Authorization", "Bearer guess"))
	}
	events := audit(t, b)
	if len(events) != 6 || events[5].Reason != "keep me" || events[5].Outcome != "done" {
		t.Errorf("the record is %+v", events)
	}
	for i := 1; i < len(events); i++ {
		if events[i-1].ID <= events[i].ID {
			t.Errorf("the record is not newest first: %d, %d", events[i-1].ID, events[i].ID)
		}
	}
}

func TestActionsAreLoggedAndNoTokenIs(t *testing.T) {
	var log bytes.Buffer
	b := board.New(board.Config{
		Token: token(t), Logger: slog.New(slog.NewTextHandler(&log, nil)), Sources: []board.Source{dialled(t, "orders", 0)},
	})
	order(b, "orders", "limits", `{"max_open":7,"reason":"sale"}`)
	for range 50 {
		order(b, "orders", "limits", `{"max_open":8}`, header("Authorization", "Bearer wrong-"+secret))
	}
	text := log.String()
	for _, want := range []string{"level=INFO", "action=limits pool=orders who=token from=127.0.0.1:50000 outcome=done", "max_open:10", "max_open:7", "reason=sale", "level=WARN", "outcome=refused"} {
		if !strings.Contains(text, want) {
			t.Errorf("the log has no %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, secret) {
		t.Error("the log has the token")
	}
	if n := strings.Count(text, "outcome=refused"); n > 20 {
		t.Errorf("%d lines for 50 refusals", n)
	}
}

func TestActionOfASourceThatPanicsIsInTheRecord(t *testing.T) {
	l := &lever{still: still{name: "orders"}, evict: func(context.Context) (int, error) { panic("a source of somebody") }}
	var log bytes.Buffer
	b := board.New(board.Config{Token: token(t), Logger: slog.New(slog.NewTextHandler(&log, nil)), Sources: []board.Source{l}})
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		order(b, "orders", "evict", "")
	}()
	said := log.String()
	if !strings.Contains(said, "has begun") || !strings.Contains(said, "outcome=failed") || !strings.Contains(said, "the source panicked") {
		t.Errorf("the log has %s", said)
	}
	if src := source(t, snapshot(t, b), "orders"); src["busy"] != "" {
		t.Errorf("busy with %v for ever", src["busy"])
	}
}

func TestDrainThatIsUnderWayDoesNotHoldUpTheServersEnd(t *testing.T) {
	l := &lever{still: still{name: "orders"}} // its drain ends with its context only
	s := httptest.NewServer(board.New(board.Config{Token: token(t), Logger: quiet(), Sources: []board.Source{l}}))
	defer s.Close()
	ended := make(chan int, 1)
	go func() {
		r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, s.URL+"/debug/herz/api/pools/orders/drain", strings.NewReader(`{"timeout_seconds": 60}`))
		if err != nil {
			ended <- 0
			return
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+secret)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			ended <- 0
			return
		}
		_ = res.Body.Close()
		ended <- res.StatusCode
	}()
	for limit := time.Now().Add(10 * time.Second); l.acts.Load() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("the drain did not begin")
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := s.Config.Shutdown(ctx); err != nil {
		t.Errorf("the server did not end: %v", err)
	}
	if status := <-ended; status != http.StatusInternalServerError {
		t.Errorf("the drain was answered with %d", status)
	}
	http.DefaultClient.CloseIdleConnections()
}
