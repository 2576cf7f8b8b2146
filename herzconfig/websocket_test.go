package herzconfig_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"herz.example/herz/herzconfig"
)

func TestWebSocketKeyIsReadWithAndWithoutPools(t *testing.T) {
	for text, want := range map[string]bool{
		"websocket: {enableLegacyKeepAlive: true}":                       true,
		"websocket:\n  enableLegacyKeepAlive: off\npool: {maxOpen: 5}\n": false,
		"pool: {}":      false,
		"websocket: {}": false,
	} {
		if got := parse(t, text).WebSocket().EnableLegacyKeepAlive; got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestWrongWebSocketKeysAreErrorsWithTheirPlace(t *testing.T) {
	for text, want := range map[string]string{
		"websocket:\n  enableLegacyKeepAliv: true\n": "f:2:3: error: there is no key enableLegacyKeepAliv of websocket; did you mean enableLegacyKeepAlive?",
		"websocket:\n  enableLegacyKeepAlive: yes\n": "f:2:26: error: enableLegacyKeepAlive is \"yes\": it has to be true or false; did you mean true?",
		"websocket: true\n":                          "f:1:1: error: websocket wants keys of its own, indented under it, such as enableLegacyKeepAlive: true",
		"pool: {}\nEnableLegacyKeepAlive: true\n":    "f:2:1: error: EnableLegacyKeepAlive is a key of websocket; indent it under a line with websocket:",
		"pool:\n  enableLegacyKeepAlive: true\n":     "f:2:3: error: enableLegacyKeepAlive is a key of websocket; write it under a line with websocket: at the top of the file",
		"websocket:\n  maxOpen: 3\n":                 "f:2:3: error: maxOpen is a key of a pool, not of websocket; move it under pool:",
		"pool: {}\nwebsocket: {}\nwebsocket: {}\n":   "f:3:1: error:",
	} {
		_, problems := herzconfig.Parser{Env: env(nil)}.Parse("f", []byte(text))
		if len(problems) != 1 || !strings.HasPrefix(problems[0].String(), want) {
			t.Errorf("%q gives %v", text, problems)
		}
	}
}

func TestWebSocketKeyIsHandedOverAtTheStartAndWithEachChange(t *testing.T) {
	path := write(t, "pool: {maxOpen: 5}\nwebsocket: {enableLegacyKeepAlive: true}\n")
	var mu sync.Mutex // guards told
	var told []bool
	count := func() int { mu.Lock(); defer mu.Unlock(); return len(told) }
	f := new(follower)
	w, err := herzconfig.Watch(herzconfig.Config{
		Path: path, Logger: logger(new(journal)), OnReload: f.on, Settle: 10 * time.Millisecond,
		EnableLegacyKeepAlive: func(on bool) { mu.Lock(); defer mu.Unlock(); told = append(told, on) },
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Close() }()
	if count() != 1 {
		t.Error("the first version was not handed over")
	}
	put(t, path, "pool: {maxOpen: 5}\nwebsocket: {enableLegacyKeepAlive: maybe}\n")
	eventually(t, "the refusal", func() bool { return len(f.events()) == 1 })
	put(t, path, "pool: {maxOpen: 5}\n")
	eventually(t, "the change", func() bool { return count() == 2 && len(f.events()) == 2 })
	c := f.events()[1].Changes
	if len(c) != 1 || c[0].String() != "websocket.enableLegacyKeepAlive: true → default" || !c[0].Live {
		t.Errorf("%+v", c)
	}
	mu.Lock()
	defer mu.Unlock()
	if !told[0] || told[1] {
		t.Errorf("%v", told)
	}
}
