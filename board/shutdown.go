package board

import (
	"net/http"
	"sync"
)

// shutdowns remembers, for each server that served a stream, a channel that is closed when that server begins to shut down. It
// keeps the server for as long as the board lives. The zero value is ready.
type shutdowns struct{ known sync.Map } // *http.Server → chan struct{}

// of gives the channel for the server of a request. http.Server.Shutdown waits for every handler and ends no context, so that
// without it one open page would hold up each graceful end. It is nil, which is never closed, for a server of another kind: there
// the context of the request has to end.
func (s *shutdowns) of(r *http.Request) <-chan struct{} {
	server, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	if !ok {
		return nil
	}
	fresh := make(chan struct{})
	kept, known := s.known.LoadOrStore(server, fresh)
	if !known {
		server.RegisterOnShutdown(sync.OnceFunc(func() { close(fresh) })) // Shutdown may be called more than once.
	}
	begun, _ := kept.(chan struct{})
	return begun
}
