package client

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// Answer is the body of a good answer.
type Answer struct {
	Value string `json:"value"`
}

// Handler serves the two requests from s. budget bounds each of them, over wait, ping, dial and use; 0: nothing does.
func Handler(s Store, budget time.Duration) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /read", serve(s.Read, "key", budget))
	mux.Handle("POST /add", serve(s.Add, "request", budget))
	return mux
}

func serve(ask func(context.Context, string) (string, error), argument string, budget time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		if budget > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, budget)
			defer cancel()
		}
		v, err := ask(ctx, r.URL.Query().Get(argument))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if v == "" {
			return // 200, and nothing in it
		}
		_ = json.NewEncoder(w).Encode(Answer{Value: v})
	})
}
