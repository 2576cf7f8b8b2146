package herzws

import (
	"maps"
	"sync"
	"sync/atomic"
)

// Switch says which devices are kept alive in the legacy way. The zero value is off for all. It changes while everything runs, from any goroutine:
// the whole setting is one immutable value that is replaced, and each connection keeps the mode of its handshake. Servers that use it drain what has
// the wrong mode.
//
// A file sets it by the key websocket.enableLegacyKeepAlive and herzconfig.Config.EnableLegacyKeepAlive.
type Switch struct {
	state atomic.Pointer[settings]

	// mu guards tell, and the order of changes. The functions in it, which only start a drain, are called without it.
	mu   sync.Mutex
	tell map[*Server]func()
}

// settings never change.
type settings struct {
	all     bool
	classes map[string]bool
}

var off = new(settings)

func (s *Switch) load() *settings {
	if now := s.state.Load(); now != nil {
		return now
	}
	return off
}

// EnableLegacyKeepAlive is the setting for classes that have none of their own.
func (s *Switch) EnableLegacyKeepAlive() bool { return s.load().all }

// SetEnableLegacyKeepAlive changes it.
func (s *Switch) SetEnableLegacyKeepAlive(on bool) {
	s.change(func(n *settings) { n.all = on })
}

// SetClass gives a class of devices a setting of its own: the value of X-Device-Class, or the path of their requests (see Config.Class).
func (s *Switch) SetClass(class string, on bool) {
	s.change(func(n *settings) { n.classes[class] = on })
}

// UnsetClass takes it away: the class goes with all others again.
func (s *Switch) UnsetClass(class string) {
	s.change(func(n *settings) { delete(n.classes, class) })
}

// Set replaces the whole setting in one step, as a configuration does.
func (s *Switch) Set(all bool, classes map[string]bool) {
	s.change(func(n *settings) { n.all, n.classes = all, maps.Clone(classes) })
}

// Enabled says whether devices of the class are kept alive in the legacy way.
func (s *Switch) Enabled(class string) bool {
	now := s.load()
	if on, ok := now.classes[class]; ok {
		return on
	}
	return now.all
}

// change makes the next setting of the one in force, and has the servers look at their connections.
func (s *Switch) change(f func(*settings)) {
	s.mu.Lock()
	before := s.load()
	next := &settings{all: before.all, classes: maps.Clone(before.classes)}
	if next.classes == nil {
		next.classes = map[string]bool{}
	}
	f(next)
	same := next.all == before.all && maps.Equal(next.classes, before.classes)
	s.state.Store(next)
	var told []func()
	for _, tell := range s.tell {
		told = append(told, tell)
	}
	s.mu.Unlock()
	if same {
		return
	}
	for _, tell := range told {
		tell()
	}
}

// follow has tell called after each change, until stop.
func (s *Switch) follow(server *Server, tell func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tell == nil {
		s.tell = map[*Server]func(){}
	}
	s.tell[server] = tell
}

// leave ends that.
func (s *Switch) leave(server *Server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tell, server)
}
