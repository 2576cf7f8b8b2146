package herzhttp_test

import (
	"context"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"herz.example/herz/herztest"
)

func TestChainOfTimeoutsLeavesNoGoroutineAndNoLoan(t *testing.T) {
	everyProtocol(t, func(t *testing.T, protocol string) {
		herztest.VerifyNoGoroutines(t)
		release := make(chan struct{})
		s, cfg := newSite(t, protocol, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			if r.URL.Path == "/body" {
				_, _ = io.WriteString(w, "begin")
				_ = http.NewResponseController(w).Flush()
			}
			select {
			case <-release:
			case <-r.Context().Done():
				panic(http.ErrAbortHandler) // whose end is no end of an answer
			}
		}))
		defer close(release)
		cfg.Limits.MaxOpen = 4
		tr := newTransport(t, cfg)
		var wg sync.WaitGroup
		for i := range 60 { // some wait for a connection, some for the head of an answer, some for its body
			wg.Go(func() {
				outer, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
				defer cancel()
				inner, cancel := context.WithTimeout(outer, time.Duration(1+i)*2*time.Millisecond)
				defer cancel()
				path := [...]string{"/head", "/body"}[i%2]
				req, err := http.NewRequestWithContext(inner, "POST", s.URL+path, io.NopCloser(io.LimitReader(zeros{}, 1000)))
				if err != nil {
					t.Error(err)
					return
				}
				if do(tr, req) == nil {
					t.Error("a request that nobody answers was answered")
				}
			})
		}
		wg.Wait()
		eventually(t, "no loan is left", func() bool { st := only(t, tr); return st.Leases == 0 && st.Waiting == 0 })
	})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
