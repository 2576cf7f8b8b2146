package herzws

import (
	"io"
	"net/http"
)

// LegacyKeepAliveHandler answers the heartbeats of devices in legacy mode, and hands all other requests to next. A device is in legacy mode where the
// switch says so, or because its handshakes fail.
//
// A heartbeat is a HEAD, answered 200 with X-Heartbeat-Interval. A request for a WebSocket is answered in the same way, which tells the device that
// there is none to be had.
func (s *Server) LegacyKeepAliveHandler(next http.Handler) http.Handler {
	s.start()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		upgrade := wantsUpgrade(r)
		if !upgrade && r.Method != http.MethodHead {
			next.ServeHTTP(w, r)
			return
		}
		from := s.asker(r)
		if !s.inLegacy(from, upgrade) {
			next.ServeHTTP(w, r)
			return
		}
		if from, ok := from.kept(w); ok {
			s.heartbeat(w, r, from, upgrade)
		}
	})
}

// inLegacy decides the mode of a request.
func (s *Server) inLegacy(from asker, upgrade bool) bool {
	if s.sw.Enabled(from.class) {
		return true
	}
	legacy, _ := s.failures.offered(upgrade, from.key())
	return legacy
}

// heartbeat answers a device in legacy mode.
func (s *Server) heartbeat(w http.ResponseWriter, r *http.Request, from asker, upgrade bool) {
	if s.closed.Load() {
		w.Header().Set("Connection", "close")
		s.refuse(w, "the server is shutting down")
		return
	}
	// Who has no name goes by the address of the connection that its heartbeats come over, which is not that of its upgrade.
	name := from.device
	if name == "" && !upgrade {
		name = r.RemoteAddr
	}
	if name != "" && !s.beat(name, from.class, r.RemoteAddr) {
		s.refuse(w, "all places for devices in legacy keep-alive are taken")
		return
	}
	h := w.Header()
	h.Set(HeaderInterval, s.cfg.Heartbeat.Interval.String())
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "text/plain; charset=utf-8")
	s.counts.heartbeats.Add(1)
	if upgrade {
		s.counts.legacyOffered.Add(1)
	}
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = io.WriteString(w, "legacy keep-alive: send HEAD every "+s.cfg.Heartbeat.Interval.String()+"\n") // a reader that has left is no news
	}
}
