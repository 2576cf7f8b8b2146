package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"herz.example/herz/cmd/herz/internal/cli"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// screen is an output that can be read while it is written.
type screen struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(b)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

func herz(ctx context.Context, out, err *screen, args ...string) int {
	return cli.Main(ctx, cli.System{Args: args, Out: out, Err: err, Env: func(string) string { return "" }})
}

func TestBadInputIsOneSentenceThatSaysWhatToDo(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = busy.Close() }()
	for line, says := range map[string]string{
		"dmo":                                      `"herz demo"`,
		"demo now":                                 "takes flags only",
		"demo --oncee":                             "--help",
		"demo --duration soon":                     "--help",
		"demo --duration 0s":                       "30s",
		"demo --duration -3s":                      "30s",
		"demo --duration 1000h":                    "24h",
		"demo --once --duration 5s":                "one of them",
		"demo --fault blackhole":                   `did you mean "black-hole"?`,
		"demo --fault earthquake":                  "lost-answers",
		"demo -o yaml":                             "text or json",
		"demo --seed minus":                        "--help",
		"demo --addr 0.0.0.0:8080":                 "127.0.0.1:8080",
		"demo --addr 192.0.2.1:80":                 "loopback",
		"demo --addr 127.0.0.1":                    "127.0.0.1:7380",
		"demo --addr 127.0.0.1:http":               "65535",
		"demo --addr 127.0.0.1:99999":              "65535",
		"demo --addr=":                             "leave the flag out",
		"demo --addr " + busy.Addr().String():      "in use; choose another port",
		"demo --mysql nonsense":                    "user:password@tcp(127.0.0.1:3306)/database",
		"demo --mysql root@unix(/tmp/x.sock)/test": "before TCP",
		"demo --mysql root@tcp(127.0.0.1:3306)/":   "names no database",
		"demo --mysql root@tcp(127.0.0.1:1)/test --duration 1s": "check --mysql",
		"demo --redis nonsense":                                 "127.0.0.1:6379",
		"demo --redis 127.0.0.1:1 --duration 1s":                "check --redis",
	} {
		t.Run(line, func(t *testing.T) {
			var out, errs screen
			code := herz(t.Context(), &out, &errs, strings.Fields(line)...)
			said := errs.String()
			if code != cli.Usage || out.String() != "" || !strings.Contains(said, says) || strings.Count(said, "\n") != 1 {
				t.Fatalf("exit %d, out %q, err %q; want exit 2 and one line with %q", code, out.String(), said, says)
			}
		})
	}
}

func TestHelpHasExamplesAndAllFaults(t *testing.T) {
	var out, errs screen
	if code := herz(t.Context(), &out, &errs, "demo", "--help"); code != cli.Good || errs.String() != "" {
		t.Fatalf("exit %d, err %q", code, errs.String())
	}
	for _, want := range []string{"Examples:", "--once -o json", "outage", "idle-close", "half-open", "black-hole", "freeze", "lost-answers"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in the help", want)
		}
	}
	var none screen
	if code := herz(t.Context(), &none, &none); code != cli.Usage || !strings.Contains(none.String(), "herz demo") {
		t.Errorf("no command: exit %d, %q", code, none.String())
	}
}

// report is the contract of -o json, to the letter.
type report struct {
	Clients []struct {
		Name         string   `json:"name"`
		Kind         string   `json:"kind"`
		Requests     *int     `json:"requests"`
		Right        *int     `json:"right"`
		Wrong        *int     `json:"wrong"`
		Empty        *int     `json:"empty"`
		Errors       *int     `json:"errors"`
		Duplicates   *int     `json:"duplicates"`
		LongestStall *float64 `json:"longest_stall_seconds"`
		DeadLent     *int     `json:"dead_lent"`
	} `json:"clients"`
	Faults []struct {
		Name  string   `json:"name"`
		Start *float64 `json:"start_seconds"`
		End   *float64 `json:"end_seconds"`
	} `json:"faults"`
	Seed *uint64 `json:"seed"`
}

func TestTheDemoShowsWhatServersThatCloseIdleConnectionsDo(t *testing.T) {
	var out, errs screen
	if code := herz(t.Context(), &out, &errs, "demo", "--fault", "idle-close", "--duration", "6s", "-o", "json", "--seed", "7"); code != cli.Good {
		t.Fatalf("exit %d, err %q, out %s", code, errs.String(), out.String())
	}
	if !strings.HasPrefix(errs.String(), "the demo is live at http://127.0.0.1:") {
		t.Fatalf("no address in %q", errs.String())
	}
	var r report
	d := json.NewDecoder(strings.NewReader(out.String()))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil || d.More() {
		t.Fatalf("%v in %s", err, out.String())
	}
	if len(r.Clients) != 5 || len(r.Faults) == 0 || r.Faults[0].Name != "idle-close" || *r.Faults[0].End <= *r.Faults[0].Start || *r.Seed != 7 {
		t.Fatalf("got %s", out.String())
	}
	kinds := map[string]int{}
	for _, c := range r.Clients {
		kinds[c.Kind]++
		if c.Requests == nil || *c.Requests < 20 || *c.Right+*c.Wrong+*c.Empty+*c.Errors != *c.Requests {
			t.Errorf("%s: the counts do not add up: %s", c.Name, out.String())
		}
		if c.Kind == "article" && *c.DeadLent == 0 {
			t.Error("the article's pool lent no dead connection")
		}
		if c.Kind == "herz" && (*c.Wrong != 0 || *c.Empty != 0 || *c.Duplicates != 0 || *c.DeadLent != 0 || *c.LongestStall > 3.3) {
			t.Errorf("%s: the verdict is good, and the counts are not: %s", c.Name, out.String())
		}
	}
	if kinds["article"] != 1 || kinds["stock"] != 2 || kinds["herz"] != 2 {
		t.Errorf("kinds %v", kinds)
	}
}

func TestCtrlCEndsTheDemoWithinASecondAndStillReports(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	var out, errs screen
	done := make(chan int, 1)
	go func() { done <- herz(ctx, &out, &errs, "demo", "--fault", "freeze") }()
	page := address(t, &out)
	watched := make(chan string, 1)
	go func() { watched <- lastEvent(page) }()
	waitFor(t, "the freeze begins", func() bool { return strings.Contains(read(t, page+"api/demo"), `"active"`) })
	if got := read(t, page); !strings.Contains(got, "<html") {
		t.Errorf("the page is %.80q", got)
	}
	if got := read(t, page+"debug/herz/"); !strings.Contains(got, "<html") {
		t.Errorf("the board is %.80q", got)
	}
	began := time.Now()
	interrupt()
	code := <-done
	if took := time.Since(began); took > time.Second {
		t.Errorf("the end took %v", took)
	}
	if code != cli.Good || !strings.Contains(out.String(), "verdict: through Herz, nothing failed silently") {
		t.Errorf("exit %d, out %s, err %s", code, out.String(), errs.String())
	}
	if strings.Contains(out.String(), "\x1b[") {
		t.Error("colours without a terminal")
	}
	if last := <-watched; !strings.Contains(last, `"done":true`) {
		t.Errorf("who watched was not told the end: %.200q", last)
	}
}

func TestThePageAnswersToLoopbackNamesOnly(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	var out, errs screen
	done := make(chan int, 1)
	go func() { done <- herz(ctx, &out, &errs, "demo", "--fault", "idle-close") }()
	defer func() { interrupt(); <-done }()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address(t, &out)+"api/demo", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "elsewhere.example"
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusForbidden {
		t.Fatalf("got %d", resp.StatusCode)
	}
}

// address waits for the address that is printed first.
func address(t *testing.T, out *screen) (url string) {
	t.Helper()
	waitFor(t, "the address is printed", func() bool {
		_, rest, ok := strings.Cut(out.String(), "http://")
		if ok && strings.HasSuffix(rest, "\n") {
			url = "http://" + strings.TrimSpace(rest)
		}
		return url != ""
	})
	return url
}

func waitFor(t *testing.T, what string, good func() bool) {
	t.Helper()
	for limit := time.Now().Add(20 * time.Second); !good(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("never: %s", what)
		}
	}
}

func read(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer func() { _ = resp.Body.Close() }()
	var b bytes.Buffer
	if _, err = b.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// lastEvent reads the stream to its end and gives the last state.
func lastEvent(page string) string {
	h := &http.Client{Transport: &http.Transport{}}
	defer h.CloseIdleConnections()
	resp, err := h.Get(page + "api/demo/events")
	if err != nil {
		return err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	var b bytes.Buffer
	if _, err = b.ReadFrom(resp.Body); err != nil {
		return err.Error()
	}
	parts := strings.Split(strings.TrimSpace(b.String()), "\n\n")
	return parts[len(parts)-1]
}
