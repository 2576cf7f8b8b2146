package live

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Every is the time between two states of a stream.
const Every = 250 * time.Millisecond

// writeMax bounds one write to a reader that does not read.
const writeMax = 5 * time.Second

// Handler serves the states that now gives: page at /, the board at its prefix, and the states under /api/demo.
func Handler(now func() State, page http.Handler, boardAt string, board http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", page)
	if board != nil {
		mux.Handle(boardAt, board)
	}
	mux.HandleFunc("GET /api/demo", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(now())
	})
	mux.HandleFunc("GET /api/demo/events", func(w http.ResponseWriter, r *http.Request) { stream(w, r, now) })
	return loopback(mux)
}

func stream(w http.ResponseWriter, r *http.Request, now func() State) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	out := http.NewResponseController(w)
	t := time.NewTicker(Every)
	defer t.Stop()
	for {
		s := now()
		b, err := json.Marshal(s)
		if err != nil {
			return
		}
		_ = out.SetWriteDeadline(time.Now().Add(writeMax))
		if _, err = fmt.Fprintf(w, "event: state\ndata: %s\n\n", b); err != nil || out.Flush() != nil || s.Done {
			return
		}
		select {
		case <-t.C:
		case <-r.Context().Done():
			return
		}
	}
}

// loopback refuses requests by another name than one of this machine's own, which a page elsewhere could have made point here.
func loopback(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		if !IsLoopback(host) {
			http.Error(w, "this page answers to a loopback name only; open it by 127.0.0.1 or localhost", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// IsLoopback tells whether host is a name or an address of loopback.
func IsLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}
