package herzhttp_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"herz.example/herz/guard"
	"herz.example/herz/herzhttp"
	"herz.example/herz/pool"
)

func TestWatchHearsWhatTheCallerGets(t *testing.T) {
	v := newVillain(t, villains["executes and resets"])
	var told dialed
	tr := newTransport(t, herzhttp.Config{Watch: &told})
	_ = post(t, tr, v.url, "x")
	err := post(t, tr, v.url, "x")
	_, tries := told.all()
	if len(tries) != 2 || !errors.Is(err, guard.ErrAmbiguous) || tries[1].Err != err || tries[1].Repeats || tries[1].Unsent {
		t.Errorf("the caller got %v, the watch %+v", err, tries)
	}
}

func TestWatchHearsWhyATryIsRepeated(t *testing.T) {
	for name, unsent := range map[string]bool{"executes and resets": false, "refuses the stream": true} {
		t.Run(name, func(t *testing.T) {
			var told dialed
			var url string
			cfg := herzhttp.Config{}
			if unsent {
				var seen atomic.Int64
				url, cfg = rawServer(t, func(p *peer, f frame) {
					switch {
					case f.kind != frameHeaders:
					case seen.Add(1) == 1:
						p.send(reset(f.stream, refusedStream))
					default:
						p.send(answer200(f.stream))
					}
				})
			} else {
				url = newVillain(t, villains[name]).url
			}
			cfg.Watch = &told
			tr := newTransport(t, cfg)
			for range 2 {
				req, _ := http.NewRequestWithContext(t.Context(), "GET", url, http.NoBody)
				if err := do(tr, req); err != nil {
					t.Fatal(err)
				}
			}
			_, tries := told.all()
			repeats := 0
			for _, try := range tries {
				if try.Repeats {
					repeats++
					if try.Unsent != unsent || try.Err == nil {
						t.Errorf("told as %+v", try)
					}
				} else if try.Err != nil || try.Unsent {
					t.Errorf("told as %+v", try)
				}
			}
			if repeats == 0 {
				t.Errorf("no try was repeated: %+v", tries)
			}
		})
	}
}

func TestTryThatGotNoConnectionSaysHowLongItWaited(t *testing.T) {
	hold := make(chan struct{})
	s, cfg := newSite(t, "http/1.1", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hold }))
	t.Cleanup(func() { close(hold) })
	var told dialed
	cfg.Watch, cfg.Limits = &told, pool.Limits{MaxOpen: 1}
	tr := newTransport(t, cfg)
	busy, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		req, _ := http.NewRequestWithContext(busy, "GET", s.URL, http.NoBody)
		_ = do(tr, req)
	}()
	eventually(t, "the first request has arrived", func() bool { return s.requests.Load() > 0 })
	late, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	req, _ := http.NewRequestWithContext(late, "GET", s.URL, http.NoBody)
	_ = do(tr, req)
	_, tries := told.all()
	if len(tries) != 1 || tries[0].Waited < 20*time.Millisecond || tries[0].FirstByte != 0 || !strings.Contains(tries[0].Err.Error(), "deadline") {
		t.Errorf("told as %+v", tries)
	}
	stop()
	<-ended
}
