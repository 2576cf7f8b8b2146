package board

import (
	"herz.example/herz/conn"
	"herz.example/herz/guard"
)

const guardedName = "guarded sockets"

// guardedSockets shows the guarded connections that no pool has, as a source of their own. It is false when there are none.
func guardedSockets(maxConns int) (sourceJSON, bool) {
	s := sourceJSON{
		Name: guardedName, Kind: "guarded", Stats: statsJSON{Closed: map[string]uint64{}, WaitCounts: []uint64{}},
		Conns: []connJSON{}, Deaths: []deathJSON{}, Unasked: []unaskedJSON{}, Learned: []lessonJSON{}, Timings: []timingJSON{},
	}
	for _, g := range guard.Live() {
		i := g.Info()
		if i.Pool != "" {
			continue
		}
		c := fromGuard(i)
		s.Stats.Open++
		switch c.State {
		case conn.Stale.String():
			s.Stats.Stale++
		case conn.InUse.String():
			s.Stats.InUse++
		default:
			s.Stats.Idle++
		}
		if len(s.Conns) < maxConns {
			s.Conns = append(s.Conns, c)
		} else {
			s.ConnsLeftOut++
		}
	}
	return s, s.Stats.Open > 0
}

// fromGuard calls a socket in use while it waits for an answer: without a pool nothing else tells.
func fromGuard(i guard.Info) connJSON {
	c := connJSON{ID: i.ID, Peer: i.Peer, State: conn.Idle.String(), AgeSeconds: i.Age.Seconds(), Cause: causeName(i.Cause)}
	switch {
	case i.Dead:
		c.State = conn.Stale.String()
	case i.Waiting > 0:
		c.State, c.HeldSeconds = conn.InUse.String(), i.Waiting.Seconds()
	default:
		c.IdleSeconds = i.Idle.Seconds()
	}
	return c
}
