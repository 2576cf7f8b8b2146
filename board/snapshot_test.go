package board_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"testing"
	"time"

	"herz.example/herz/board"
	"herz.example/herz/ceiling"
	"herz.example/herz/conn"
	"herz.example/herz/guard"
	"herz.example/herz/pool"
)

var update = flag.Bool("update", false, "write testdata/snapshot.json anew")

// TestSnapshotKeepsItsSchema compares every field with the golden file. A field may be added there, never renamed or
// removed: others read this JSON.
func TestSnapshotKeepsItsSchema(t *testing.T) {
	got := snapshot(t, board.New(board.Config{Sources: []board.Source{&still{name: "orders"}}}))
	for _, field := range []string{"now", "uptime_seconds"} { // what differs from run to run, by value only
		if got[field] == nil {
			t.Errorf("the snapshot has no %s", field)
		}
		got[field] = "…"
	}
	process, ok := got["process"].(map[string]any)
	if !ok {
		t.Fatalf("process is %v, want an object", got["process"])
	}
	for _, field := range []string{"name", "pid", "host"} {
		if process[field] == nil {
			t.Errorf("process has no %s", field)
		}
		process[field] = "…"
	}
	have, err := json.MarshalIndent(got, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	have = append(maskErrno(have), '\n')
	golden := filepath.Join("testdata", "snapshot.json")
	if *update {
		if err = os.WriteFile(golden, have, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, want) {
		t.Errorf("the snapshot is\n%s\nwant\n%s", have, want)
	}
}

// maskErrno hides what the system calls ECONNRESET, which differs from one to the other.
func maskErrno(b []byte) []byte {
	var out [][]byte
	for line := range bytes.Lines(b) {
		if i := bytes.Index(line, []byte(`"errno`)); i >= 0 {
			name, _, _ := bytes.Cut(line[i:], []byte(":"))
			line = append(append(bytes.Clone(line[:i]), name...), ": …\n"...)
		}
		out = append(out, line)
	}
	return bytes.TrimRight(bytes.Join(out, nil), "\n")
}

func TestSnapshotListsNoMoreThanMaxConns(t *testing.T) {
	got := snapshot(t, board.New(board.Config{MaxConns: 1, Sources: []board.Source{&still{name: "orders"}}}))
	src := source(t, got, "orders")
	if n := len(src["conns"].([]any)); n != 1 {
		t.Errorf("%d connections are listed, want 1", n)
	}
	if src["conns_left_out"] != 1.0 {
		t.Errorf("conns_left_out is %v, want 1", src["conns_left_out"])
	}
}

func TestAddedSourceIsShownUntilRemoved(t *testing.T) {
	b := board.New(board.Config{Sources: []board.Source{nil}})
	shown := func(want int) {
		t.Helper()
		if n := len(snapshot(t, b)["sources"].([]any)); n != want {
			t.Fatalf("%d sources are shown, want %d", n, want)
		}
	}
	shown(0)
	s := &still{name: "orders"}
	removeFirst, removeSecond, removeNil := b.Add(s), b.Add(s), b.Add(nil)
	shown(2)
	removeFirst()
	removeFirst() // once more does nothing
	shown(1)
	removeNil()
	shown(1)
	removeSecond()
	shown(0)
}

// TestGuardedSocketWithoutPoolIsShown: nothing that Herz guards is invisible, and nothing is shown twice.
func TestGuardedSocketWithoutPoolIsShown(t *testing.T) {
	near, far := net.Pipe()
	t.Cleanup(func() { near.Close(); far.Close() })
	alone := guard.Wrap(near, guard.Options{})
	near2, far2 := net.Pipe()
	t.Cleanup(func() { near2.Close(); far2.Close() })
	pooled := guard.Wrap(near2, guard.Options{})
	pooled.SetPool("orders")
	b := board.New(board.Config{})

	src := source(t, snapshot(t, b), "guarded sockets")
	conns := src["conns"].([]any)
	if len(conns) != 1 {
		t.Fatalf("%d guarded sockets are shown, want the one without a pool", len(conns))
	}
	c := conns[0].(map[string]any)
	if c["id"] != float64(alone.ID()) || c["state"] != "idle" || src["kind"] != "guarded" || src["limits"] != nil {
		t.Errorf("shown is %v of %v", c, src["kind"])
	}

	alone.Abort(conn.Evicted)
	for _, s := range snapshot(t, b)["sources"].([]any) {
		for _, c := range s.(map[string]any)["conns"].([]any) {
			if c := c.(map[string]any); c["state"] != "stale" || c["cause"] != "evicted" {
				t.Errorf("a dead socket is shown as %v because of %v", c["state"], c["cause"])
			}
		}
	}
	alone.Close()
	pooled.Close()
	if n := len(snapshot(t, b)["sources"].([]any)); n != 0 {
		t.Errorf("%d sources are shown after all sockets were closed", n)
	}
	runtime.KeepAlive(alone)
	runtime.KeepAlive(pooled)
}

var row = regexp.MustCompile(`(\w+):\{letter:"(.)",words:"([^"]+)",ours:!([01])\}`)

// TestPageKnowsEveryCause compares the table in the built page with package conn.
func TestPageKnowsEveryCause(t *testing.T) {
	scripts, err := filepath.Glob("ui/assets/*.js")
	if err != nil || len(scripts) != 1 {
		t.Fatalf("the page has the scripts %q, %v; want one", scripts, err)
	}
	text, err := os.ReadFile(scripts[0])
	if err != nil {
		t.Fatal(err)
	}
	table, letters := map[string][]string{}, map[string]string{}
	for _, r := range row.FindAllStringSubmatch(string(text), -1) {
		table[r[1]] = r[2:]
		if other, taken := letters[r[2]]; taken {
			t.Errorf("%s and %s share the letter %s", r[1], other, r[2])
		}
		letters[r[2]] = r[1]
	}
	if len(table) != len(conn.Causes())-1 {
		t.Errorf("the page knows %d causes, package conn %d", len(table), len(conn.Causes())-1)
	}
	for _, c := range conn.Causes()[1:] {
		r := table[c.String()]
		if r == nil || r[1] != c.Sentence() || (r[2] == "0") != c.Ours() {
			t.Errorf("the page has %q for %v, want %q, ours %v: change web/src/causes.ts", r, c, c.Sentence(), c.Ours())
		}
	}
}

func snapshot(t *testing.T, b *board.Board) map[string]any {
	t.Helper()
	res := ask(b, "GET", "/debug/herz/api/snapshot")
	if res.Status != 200 || res.Header.Get("Content-Type") != "application/json" || res.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("the snapshot is answered with %d, %v: %s", res.Status, res.Header, res.Body)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(res.Body), &got); err != nil {
		t.Fatal(err)
	}
	return got
}

func source(t *testing.T, snap map[string]any, name string) map[string]any {
	t.Helper()
	for _, s := range snap["sources"].([]any) {
		if s := s.(map[string]any); s["name"] == name {
			return s
		}
	}
	t.Fatalf("%q is not among the sources", name)
	return nil
}

func TestBoardShowsWhatWasLearnedOfIdleConnections(t *testing.T) {
	learner := ceiling.New(ceiling.Config{Logger: slog.New(slog.DiscardHandler)})
	src := &still{name: "orders"}
	told := learner.Bind(src)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for range 5 {
		told.Observe(pool.Event{Kind: pool.ConnectionClosed, At: at, Death: &conn.Death{Peer: "db:3306", Cause: conn.PeerFIN, Phase: "idle", Idle: 350 * time.Second}})
		at = at.Add(time.Minute)
	}
	got := snapshot(t, board.New(board.Config{Sources: []board.Source{src, &still{name: "users"}}, Learner: learner}))
	sources := got["sources"].([]any)
	lessons := sources[0].(map[string]any)["learned"].([]any)
	if len(lessons) != 1 || len(sources[1].(map[string]any)["learned"].([]any)) != 0 {
		t.Fatalf("lessons %v, and of a pool of which nothing was learned %v", lessons, sources[1].(map[string]any)["learned"])
	}
	l := lessons[0].(map[string]any)
	if l["peer"] != "db:3306" || l["ceiling_seconds"] != 350.0 || l["advised_seconds"] != 280.0 || l["agree"] != 5.0 || l["of"] != 5.0 || l["limit_seconds"] != 0.0 || len(l["known"].([]any)) != 1 {
		t.Errorf("%v", l)
	}
}
