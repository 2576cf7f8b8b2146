package server

import (
	"context"
	"fmt"
	"strconv"

	"github.com/alicebob/miniredis/v2"
)

// Redis is an embedded server that speaks Redis' protocol.
type Redis struct{ mini *miniredis.Miniredis }

// StartRedis starts a server on a free port of loopback that holds values.
func StartRedis(values map[string]string) (*Redis, error) {
	m := miniredis.NewMiniRedis()
	if err := m.StartAddr("127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("start the embedded Redis server: %w", err)
	}
	for k, v := range values {
		if err := m.Set(k, v); err != nil {
			m.Close()
			return nil, fmt.Errorf("fill the embedded Redis server: %w", err)
		}
	}
	return &Redis{mini: m}, nil
}

// Addr is where the server listens.
func (r *Redis) Addr() string { return r.mini.Addr() }

// Counts gives how many times INCR was executed on each of the keys.
func (r *Redis) Counts(_ context.Context, requests []string) (map[string]int, error) {
	got := make(map[string]int, len(requests))
	for _, key := range requests {
		if !r.mini.Exists(key) {
			continue
		}
		v, err := r.mini.Get(key)
		if err != nil {
			return nil, fmt.Errorf("read counter %q of the embedded Redis server: %w", key, err)
		}
		n, err := strconv.Atoi(v)
		if err != nil {
			return nil, fmt.Errorf("read counter %q of the embedded Redis server: %w", key, err)
		}
		got[key] = n
	}
	return got, nil
}

// Forget frees what is kept of requests.
func (r *Redis) Forget(_ context.Context, requests []string) error {
	for _, key := range requests {
		r.mini.Del(key)
	}
	return nil
}

// Close stops the server and waits for its connections.
func (r *Redis) Close() error {
	r.mini.Close()
	return nil
}
