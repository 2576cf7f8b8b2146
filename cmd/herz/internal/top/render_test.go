package top

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func shop() *Snapshot {
	return &Snapshot{
		Now: "2026-01-02T03:04:05.6Z", Uptime: 3700, Process: Process{Name: "shop", PID: 42, Host: "a"},
		Sources: []Source{
			{
				ID: 1, Name: "orders", Limits: &Limits{MaxOpen: 10},
				Stats:  Stats{Open: 5, Idle: 2, InUse: 1, Checking: 1, Stale: 1, Waiting: 3, OldestWait: 2.5, Acquires: 1000, Dials: 20, Closed: map[string]uint64{"peer_fin": 4, "max_idle": 2}},
				Conns:  []Conn{{ID: 1, State: "idle", Idle: 0.1}, {ID: 2, State: "idle", Idle: 590}, {ID: 3, State: "in_use"}, {ID: 4, State: "checking"}, {ID: 5, State: "stale"}},
				Deaths: []Death{{ID: 9, Peer: "db:3306", Cause: "peer_fin", Words: "the peer closed it", Idle: 300, Age: 4000, Phase: "processing", Sent: 7, Detail: "bye\x1b[2J"}},
			},
			{ID: 2, Name: "a\x1b]0;evil\aname that is much too long for its column", Stats: Stats{LastDialError: "refused\r\nHTTP"}},
		},
	}
}

func before() *Snapshot {
	s := shop()
	s.Uptime -= 2
	s.Sources[0].Stats.Acquires, s.Sources[0].Stats.Dials, s.Sources[0].Stats.Closed = 980, 19, map[string]uint64{"peer_fin": 3, "max_idle": 2}
	return s
}

func TestScreenHasEachPoolsNumbersItsConnectionsAndWhyTheyEnded(t *testing.T) {
	text := Render(shop(), before(), Screen{Width: 200})
	for _, want := range []string{
		"shop (42 on a) · up 1h01m · 03:04:05 UTC", "> orders                        1      2      1      1        5/10      3     2.5s     10.0      0.5      0.5",
		"▁█U?!", "#9        peer_fin", "db:3306", "idle 5m0s", "age 1h06m", "7 bytes of a request had left",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if other := Render(shop(), nil, Screen{Width: 200, Selected: 1}); !strings.Contains(other, "the newest dial failed: refused··HTTP") || strings.Contains(other, "#9") {
		t.Errorf("the second pool:\n%s", other)
	}
}

func TestWordsOfOthersDoNotMoveTheCursor(t *testing.T) {
	for selected := range 2 {
		if text := Render(shop(), nil, Screen{Width: 300, Selected: selected}); strings.ContainsAny(text, "\x1b\a\r") {
			t.Errorf("without colour there is an escape in %q", text)
		}
		text := Render(shop(), nil, Screen{Width: 300, Selected: selected, Color: true})
		if strings.Contains(text, "\x1b]") || strings.Contains(text, "\x1b[2J") {
			t.Errorf("the words of a server got through: %q", text)
		}
	}
}

func TestNothingIsWiderOrHigherThanTheScreen(t *testing.T) {
	s := shop()
	for range 500 {
		s.Sources[0].Conns = append(s.Sources[0].Conns, Conn{State: "idle"})
		s.Sources[0].Deaths = append(s.Sources[0].Deaths, s.Sources[0].Deaths[0])
	}
	for _, size := range [][2]int{{80, 24}, {40, 10}, {20, 5}, {5, 2}, {1, 1}} {
		lines := strings.Split(strings.TrimSuffix(Render(s, nil, Screen{Width: size[0], Height: size[1], Note: "q quits"}), "\n"), "\n")
		if len(lines) > size[1] {
			t.Errorf("%v: %d lines", size, len(lines))
		}
		for _, l := range lines {
			if n := utf8.RuneCountInString(l); n > max(size[0], 3) {
				t.Errorf("%v: a line of %d", size, n)
			}
		}
	}
}

func TestBoardWithoutPoolsSaysSo(t *testing.T) {
	if text := Render(&Snapshot{}, nil, Screen{Width: 80}); !strings.Contains(text, "no pool") {
		t.Errorf("%s", text)
	}
}

func TestSelectionBeyondTheEndIsTheLastPool(t *testing.T) {
	if text := Render(shop(), nil, Screen{Width: 200, Selected: 7}); !strings.Contains(text, "the newest dial failed") {
		t.Errorf("%s", text)
	}
}

func FuzzAnySnapshotIsDrawn(f *testing.F) {
	raw, err := json.Marshal(shop())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw, 80, 24)
	f.Add([]byte(`{"sources":[{"conns":[{"state":"idle","idle_seconds":-1}]}]}`), 0, 0)
	f.Fuzz(func(t *testing.T, raw []byte, width, height int) {
		var s Snapshot
		if json.Unmarshal(raw, &s) != nil {
			return
		}
		if text := Render(&s, &s, Screen{Width: width, Height: height, Selected: width}); strings.Contains(text, "\x1b") {
			t.Errorf("an escape in %q", text)
		}
	})
}
