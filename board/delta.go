package board

import (
	"math"
	"reflect"
)

// jitter is how far the clock of a connection may be from what it would be if nothing had happened: the states of a moment are collected one
// after the other.
const jitter = 0.15 // s

// diff is what happened between two states. Ages that only went on are left to the reader.
func diff(was, is *snapshotJSON) deltaJSON {
	d := deltaJSON{
		Schema: is.Schema, Now: is.Now, UptimeSeconds: is.UptimeSeconds, EverySeconds: is.EverySeconds, Control: is.Control,
		Sources: make([]sourceDeltaJSON, 0, len(is.Sources)), Events: fresh(was.Events, is.Events),
	}
	if len(is.Audit) > 0 && (len(was.Audit) == 0 || was.Audit[0].ID != is.Audit[0].ID) {
		d.Audit = &is.Audit
	}
	if !reflect.DeepEqual(was.Leaks, is.Leaks) {
		d.Leaks = &is.Leaks
	}
	old := make(map[uint64]*sourceJSON, len(was.Sources))
	for i := range was.Sources {
		old[was.Sources[i].ID] = &was.Sources[i]
	}
	for i := range is.Sources {
		s := &is.Sources[i]
		if o := old[s.ID]; o != nil {
			d.Sources = append(d.Sources, sourceDeltaJSON{ID: s.ID, Change: changed(o, s, is.UptimeSeconds-was.UptimeSeconds)})
		} else {
			d.Sources = append(d.Sources, sourceDeltaJSON{ID: s.ID, Whole: s})
		}
	}
	return d
}

// fresh are the events that were not there yet, newest first.
func fresh(was, is []eventJSON) []eventJSON {
	if len(was) == 0 {
		return is
	}
	n := 0
	for n < len(is) && is[n].ID > was[0].ID {
		n++
	}
	return is[:n]
}

func changed(was, is *sourceJSON, passed float64) *changeJSON {
	c := &changeJSON{
		Ref: is.Ref, Controllable: is.Controllable, Busy: is.Busy, Stats: is.Stats, ConnsLeftOut: is.ConnsLeftOut, Timings: is.Timings,
		Deaths: buried(was.Deaths, is.Deaths),
	}
	if was.Limits != nil && is.Limits != nil && *was.Limits != *is.Limits {
		c.Limits = is.Limits
	}
	if !reflect.DeepEqual(was.Unasked, is.Unasked) {
		c.Unasked = &is.Unasked
	}
	if !reflect.DeepEqual(was.Learned, is.Learned) {
		c.Learned = &is.Learned
	}
	old := make(map[uint64]*connJSON, len(was.Conns))
	for i := range was.Conns {
		old[was.Conns[i].ID] = &was.Conns[i]
	}
	for i := range is.Conns {
		o := old[is.Conns[i].ID]
		if o == nil || !wentOn(o, &is.Conns[i], passed) {
			c.Conns = append(c.Conns, is.Conns[i])
		}
		delete(old, is.Conns[i].ID)
	}
	for i := range was.Conns { // in their order
		if _, gone := old[was.Conns[i].ID]; gone {
			c.Gone = append(c.Gone, was.Conns[i].ID)
		}
	}
	return c
}

// buried are the deaths that were not there yet, newest first.
func buried(was, is []deathJSON) []deathJSON {
	known := make(map[uint64]struct{}, len(was))
	for i := range was {
		known[was[i].ID] = struct{}{}
	}
	var list []deathJSON
	for i := range is {
		if _, ok := known[is[i].ID]; !ok {
			list = append(list, is[i])
		}
	}
	return list
}

// wentOn reports whether nothing happened to a connection but that it became older: idle for longer while it rests, held for longer while
// it is in use.
func wentOn(was, is *connJSON, passed float64) bool {
	then := *was
	then.AgeSeconds += passed
	switch then.State {
	case "idle":
		then.IdleSeconds += passed
	case "in_use":
		then.HeldSeconds += passed
	default:
	}
	near := func(a, b float64) bool { return math.Abs(a-b) <= jitter }
	if !near(then.AgeSeconds, is.AgeSeconds) || !near(then.IdleSeconds, is.IdleSeconds) || !near(then.HeldSeconds, is.HeldSeconds) {
		return false
	}
	then.AgeSeconds, then.IdleSeconds, then.HeldSeconds = is.AgeSeconds, is.IdleSeconds, is.HeldSeconds
	return then == *is
}
