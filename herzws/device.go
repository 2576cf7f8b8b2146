package herzws

import (
	"iter"
	"time"
)

// device is what the registry keeps. It is replaced as a whole.
type device struct {
	mode  Mode
	since time.Time
	seen  time.Time // of a legacy device: the newest heartbeat
	class string
	addr  string // of a legacy device
	conn  *Conn  // of a WebSocket
}

// Device is one device that is connected, in whichever mode.
type Device struct {
	Name  string    `json:"name"` // as Config.Device says; the address of a legacy client without a name
	Mode  Mode      `json:"mode"`
	Class string    `json:"class"`
	Addr  string    `json:"addr"`
	Since time.Time `json:"since"` // in this mode
	Seen  time.Time `json:"seen"`  // the newest sign of life
	Conn  *Conn     `json:"-"`     // nil in legacy mode
}

func (s *Server) public(name string, d device) Device {
	p := Device{Name: name, Mode: d.mode, Class: d.class, Addr: d.addr, Since: d.since, Seen: d.seen, Conn: d.conn}
	if d.conn != nil {
		p.Addr = d.conn.RemoteAddr().String()
		p.Seen = s.hub.born.Add(time.Duration(d.conn.seen.Load()))
	}
	return p
}

// Devices goes over the devices that are known by a name, and all in legacy mode. A device is one entry: who comes back in another mode, or before its old
// connection was found dead, takes the place of that.
func (s *Server) Devices() iter.Seq[Device] {
	s.start()
	return func(yield func(Device) bool) {
		for e, d := range s.devices.All() {
			if !yield(s.public(e.Key(), d)) {
				return
			}
		}
	}
}

// Device gives the one of that name.
func (s *Server) Device(name string) (Device, bool) {
	s.start()
	d, ok := s.devices.Load(name)
	return s.public(name, d), ok
}

// register makes the entry of a WebSocket.
func (s *Server) register(c *Conn, name string) {
	if name == "" {
		return
	}
	own, before, replaced := s.devices.Put(name, device{mode: V2, since: time.Now(), class: c.Class(), conn: c})
	if replaced && before.mode == Legacy {
		s.legacy.Add(-1)
	}
	c.entry.Store(own)
}

// beat refreshes the entry of a legacy device, or makes one. False: there are too many.
func (s *Server) beat(name, class, addr string) bool {
	for {
		e, ok := s.devices.Find(name)
		if !ok {
			return s.enlist(name, class, addr)
		}
		refreshed := false
		e.Update(func(d device) device {
			if refreshed = d.mode == Legacy; refreshed {
				d.seen, d.addr, d.class = time.Now(), addr, class
			}
			return d
		})
		switch {
		case refreshed && e.Current():
			return true
		case !refreshed && e.Current(): // its WebSocket; that it asks in this way says that it has left that
			return s.enlist(name, class, addr)
		}
		// The entry ended meanwhile: who ended it did not see this heartbeat, so that it needs another.
	}
}

// enlist makes an entry for a legacy device.
func (s *Server) enlist(name, class, addr string) bool {
	if int(s.legacy.Add(1)) > s.Limits().Legacy {
		s.legacy.Add(-1)
		return false
	}
	now := time.Now()
	_, before, replaced := s.devices.Put(name, device{mode: Legacy, since: now, seen: now, class: class, addr: addr})
	if replaced && before.mode == Legacy {
		s.legacy.Add(-1)
	}
	s.hub.start()
	return true
}

// expire ends the entries of legacy devices that were silent for too long. One that is refreshed meanwhile is spared.
func (s *Server) expire(time.Duration) {
	if s.legacy.Load() == 0 {
		return
	}
	oldest := time.Now().Add(-s.cfg.Heartbeat.Interval - s.cfg.Heartbeat.Grace)
	for e, d := range s.devices.All() {
		if d.mode != Legacy || d.seen.After(oldest) {
			continue
		}
		if e.DeleteIf(func(d device) bool { return d.mode == Legacy && !d.seen.After(oldest) }) {
			s.legacy.Add(-1)
			s.counts.expired.Add(1)
		}
	}
}
