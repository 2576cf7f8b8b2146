package cli_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"herz.example/herz/board"
	"herz.example/herz/cmd/herz/internal/cli"
	"herz.example/herz/pool"
)

const secret = "0123456789abcdef0123456789abcdef"

// program is what a running program has: pools, and a board that shows them.
type program struct {
	t    *testing.T
	addr string
	pool *pool.Pool[int64]
	env  map[string]string
}

// serve runs the board of a program with the pools "orders" and "users". Without control it only shows.
func serve(t *testing.T, control bool) *program {
	t.Helper()
	cfg := board.Config{Logger: slog.New(slog.DiscardHandler)}
	if control {
		var err error
		if cfg.Token, err = board.NewToken(secret); err != nil {
			t.Fatal(err)
		}
	}
	p := &program{t: t, env: map[string]string{}}
	for _, name := range []string{"users", "orders"} {
		var last atomic.Int64
		made, err := pool.New(pool.Config[int64]{
			Name: name, Dial: func(context.Context) (int64, error) { return last.Add(1), nil }, Limits: pool.Limits{KeepWarm: 3},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = made.Close() })
		if err := made.WarmUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		cfg.Sources, p.pool = append(cfg.Sources, made), made
	}
	s := httptest.NewServer(board.New(cfg))
	t.Cleanup(s.Close)
	p.addr = s.Listener.Addr().String()
	return p
}

func (p *program) herz(args ...string) (code int, out, errs string) {
	p.t.Helper()
	args = append([]string{"pool"}, args...)
	return p.run(append(args, "--addr", p.addr)...)
}

func (p *program) run(args ...string) (code int, out, errs string) {
	p.t.Helper()
	var o, e screen
	code = cli.Main(p.t.Context(), cli.System{Args: args, Out: &o, Err: &e, In: strings.NewReader("yes\n"), Env: func(name string) string { return p.env[name] }})
	if e := e.String(); code != cli.Good && (strings.Count(e, "\n") != 1 || !strings.HasPrefix(e, "herz: ")) || strings.Contains(o.String()+e, secret) {
		p.t.Errorf("herz %v says %q", args, e)
	}
	return code, o.String(), e.String()
}

func TestPoolsAreListedAndShown(t *testing.T) {
	p := serve(t, false)
	lease, err := p.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer lease.Release()
	code, out, _ := p.herz("ls")
	if code != cli.Good || !regexp.MustCompile(`(?m)^orders +1 +2 +0 +3 +10 +0 +1`).MatchString(out) || !strings.Contains(out, "only shows") {
		t.Errorf("ls: exit %d\n%s", code, out)
	}
	code, out, _ = p.herz("show", "orders")
	if code != cli.Good || !regexp.MustCompile(`(?s)^orders: 3 open \(1 active, 2 idle.*max_open +10.*in_use`).MatchString(out) || !strings.Contains(out, "max_idle_seconds             10m0s") {
		t.Errorf("show: exit %d\n%s", code, out)
	}
	code, out, _ = p.herz("ls", "-o", "json")
	var list struct {
		Schema int `json:"schema"`
		Pools  []struct {
			Ref       string `json:"ref"`
			NumActive *int   `json:"num_active"`
			NumIdle   *int   `json:"num_idle"`
		} `json:"pools"`
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil || code != cli.Good || list.Schema != 1 || len(list.Pools) != 2 || list.Pools[1].Ref != "orders" || *list.Pools[1].NumActive != 1 {
		t.Errorf("ls -o json: exit %d, %v\n%s", code, err, out)
	}
}

func TestPoolIsChangedFromTheCommandLine(t *testing.T) {
	p := serve(t, true)
	p.env["HERZ_TOKEN"] = secret
	code, out, _ := p.herz("limits", "orders", "max_open=7", "max-idle=5m", "keep_warm=2", "--reason", "sale")
	if l := p.pool.Limits(); code != cli.Good || l.MaxOpen != 7 || l.MaxIdleTime != 5*time.Minute || l.KeepWarm != 2 {
		t.Errorf("exit %d, %s: %+v", code, out, l)
	}
	if !strings.Contains(out, "orders: keep_warm 3 → 2, max_idle_seconds 10m0s → 5m0s, max_open 10 → 7 (") {
		t.Errorf("limits says %q", out)
	}
	if code, out, _ = p.herz("limits", "orders", "max_open=default"); code != cli.Good || p.pool.Limits().MaxOpen != pool.DefaultMaxOpen {
		t.Errorf("exit %d, %s", code, out)
	}
	if code, out, _ = p.herz("limits", "orders"); code != cli.Good || !strings.Contains(out, "max_open                     10\n") {
		t.Errorf("exit %d, %s", code, out)
	}

	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.env = map[string]string{}
	if code, out, _ = p.herz("evict", "orders", "--token-file", file); code != cli.Good || !strings.Contains(out, "orders: 0 closed; ") {
		t.Errorf("evict: exit %d, %s", code, out)
	}
	if code, out, _ = p.herz("invalidate", "orders", "--token-file", file, "--yes"); code != cli.Good || p.pool.Stats().Generation != 2 || !strings.Contains(out, "generation 1 → 2") {
		t.Errorf("invalidate: exit %d, %s", code, out)
	}
	lease, err := p.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	code, out, errs := p.herz("drain", "orders", "--token-file", file, "--yes", "--timeout", "50ms")
	if code != cli.Failed || !strings.Contains(errs, "1 connection is still lent") || out != "" {
		t.Errorf("a drain that cannot end: exit %d, %s%s", code, out, errs)
	}
	lease.Release()
	code, out, _ = p.herz("drain", "orders", "--token-file", file, "--yes", "-o", "json")
	var a struct {
		Event struct{ Action, Outcome string } `json:"event"`
	}
	if err := json.Unmarshal([]byte(out), &a); err != nil || code != cli.Good || a.Event.Action != "drain" || a.Event.Outcome != "done" {
		t.Errorf("drain: exit %d, %v, %s", code, err, out)
	}
}

func TestWhatCannotBeDoneSaysWhatToChange(t *testing.T) {
	shows, acts := serve(t, false), serve(t, true)
	file := func(text string) string {
		name := filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	good, other := file(secret), file(strings.ToUpper(secret))
	for _, c := range []struct {
		on   *program
		line string
		code int
		says string
	}{
		{acts, "", 2, "ls|show|evict"},
		{acts, "list", 2, "verbs are ls, show"},
		{acts, "ls orders", 2, "herz pool show orders"},
		{acts, "show", 2, "say which pool"},
		{acts, "evict orders users", 2, "takes one pool"},
		{acts, "ls -o yaml", 2, "text or json"},
		{acts, "ls --colour", 2, "--help"},
		{acts, "evict orders --token " + secret[:5], 2, "--token-file"},
		{acts, "evict orders --timeout 0s", 2, "1ms to 10m"},
		{acts, "evict orders --token-file /nowhere/token", 2, "--token-file"},
		{acts, "evict orders --token-file " + file("\n"), 2, "holds no token"},
		{acts, "evict orders --token-file " + file("two words"), 2, "holds no token"},
		{acts, "evict orders", 2, "HERZ_TOKEN"},
		{acts, "evict orders --token-file " + other, 2, "another token"},
		{shows, "evict orders --token-file " + good, 2, "board.NewToken"},
		{acts, "evict ordres --token-file " + good, 2, `did you mean "orders"? The board has users, orders`},
		{acts, "show nothing-like-it", 2, "known are users, orders"},
		{acts, "limits max_open=7", 2, "say which pool before"},
		{acts, "limits orders max_open", 2, "no NAME=VALUE"},
		{acts, "limits orders max_open=many --token-file " + good, 2, "give a number"},
		{acts, "limits orders max_open=7 max-open=8 --token-file " + good, 2, "given twice"},
		{acts, "limits orders max_opne=7 --token-file " + good, 2, `did you mean "max_open"`},
		{acts, "limits orders max_open=-1 --token-file " + good, 2, "max_open is -1; it must be 1 to"},
		{acts, "invalidate orders --token-file " + good, 2, "add --yes"},
		{acts, "drain orders --token-file " + good, 2, "add --yes"},
	} {
		t.Run(c.line, func(t *testing.T) {
			code, out, errs := c.on.herz(strings.Fields(c.line)...)
			if code != c.code || out != "" || !strings.Contains(errs, c.says) {
				t.Errorf("exit %d, out %q, err %q; want exit %d and %q", code, out, errs, c.code, c.says)
			}
		})
	}
	if s := acts.pool.Stats(); s.Generation != 1 || acts.pool.Limits().MaxOpen != pool.DefaultMaxOpen {
		t.Errorf("something was done: %+v", s)
	}
}

func TestErrorsOfTheBoardAreJSONWhereThatWasAskedFor(t *testing.T) {
	p := serve(t, true)
	p.env["HERZ_TOKEN"] = secret
	for _, line := range []string{"show ordres -o json", "limits ordres max_open=7 -o json", "limits ordres -o json", "evict ordres -o json"} {
		code, out, _ := p.herz(strings.Fields(line)...)
		var a struct {
			Error struct{ Code string } `json:"error"`
		}
		if err := json.Unmarshal([]byte(out), &a); err != nil || code != cli.Usage || a.Error.Code != "unknown_pool" {
			t.Errorf("%s: exit %d, %v: %q", line, code, err, out)
		}
	}
}

func TestWordsOfAServerDoNotMoveTheCursor(t *testing.T) {
	made, err := pool.New(pool.Config[int64]{Name: "orders", Dial: func(context.Context) (int64, error) { return 0, errors.New("\x1b[2J full") }})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = made.Close() }()
	if _, err := made.Acquire(t.Context()); err == nil {
		t.Fatal("a dial that fails made a connection")
	}
	s := httptest.NewServer(board.New(board.Config{Logger: slog.New(slog.DiscardHandler), Sources: []board.Source{made}}))
	defer s.Close()
	p := &program{t: t, addr: s.Listener.Addr().String(), env: map[string]string{}}
	if code, out, _ := p.herz("show", "orders"); code != cli.Good || strings.Contains(out, "\x1b") || !strings.Contains(out, `\x1b[2J full`) {
		t.Errorf("exit %d, %q", code, out)
	}
}

func TestBoardThatIsNoneIsNamed(t *testing.T) {
	moved := httptest.NewServer(http.RedirectHandler("http://elsewhere.example/", http.StatusFound))
	defer moved.Close()
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }))
	defer page.Close()
	closed := httptest.NewServer(nil)
	closed.Close()
	for addr, want := range map[string]struct {
		code int
		says string
	}{
		closed.Listener.Addr().String():  {1, "nothing listens at"},
		moved.URL:                        {2, "elsewhere.example"},
		web.Listener.Addr().String():     {2, "/debug/herz/"},
		page.URL:                         {1, "not the JSON of a board"},
		"localhost":                      {2, "127.0.0.1:6060"},
		"ftp://127.0.0.1/":               {2, "127.0.0.1:6060"},
		"http://me:word@127.0.0.1:6060/": {2, "127.0.0.1:6060"},
		"http://192.0.2.1:6060":          {2, "--plain-http"},
	} {
		var out, errs screen
		code := cli.Main(t.Context(), cli.System{Args: []string{"pool", "ls", "--addr", addr}, Out: &out, Err: &errs, Env: func(string) string { return secret }})
		if said := errs.String(); code != want.code || !strings.Contains(said, want.says) || strings.Count(said, "\n") != 1 || out.String() != "" {
			t.Errorf("%s: exit %d, %q; want %d and %q", addr, code, said, want.code, want.says)
		}
	}
}

func TestPoolHelpHasExamplesAndEveryVerb(t *testing.T) {
	var out, errs screen
	if code := herz(t.Context(), &out, &errs, "pool", "evict", "--help"); code != cli.Good || errs.String() != "" {
		t.Fatalf("exit %d, err %q", code, errs.String())
	}
	for _, want := range []string{"Examples:", "HERZ_TOKEN", "--token-file", "evict POOL", "invalidate POOL", "drain POOL", "limits POOL", "show POOL", "  ls "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in the help", want)
		}
	}
}
