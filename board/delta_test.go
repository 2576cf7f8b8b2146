package board

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

// world is what a board could show, which goes on at random.
type world struct {
	dice    *rand.Rand
	now     float64
	nextID  uint64
	sources []sourceJSON
	events  []eventJSON
	audit   []auditJSON
	leaks   []leakJSON
}

func (w *world) id() uint64 {
	w.nextID++
	return w.nextID
}

// step lets some time pass.
func (w *world) step() *snapshotJSON {
	passed := 0.5 + w.dice.Float64()
	w.now += passed
	if len(w.sources) == 0 || w.dice.IntN(20) == 0 {
		w.sources = append(w.sources, sourceJSON{
			ID: w.id(), Name: "p", Limits: &limitsJSON{}, Conns: []connJSON{}, Deaths: []deathJSON{}, Unasked: []unaskedJSON{}, Learned: []lessonJSON{},
			Timings: []timingJSON{}, Stats: statsJSON{WaitCounts: []uint64{}, Closed: map[string]uint64{}},
		})
	}
	if len(w.sources) > 1 && w.dice.IntN(20) == 0 {
		w.sources = slices.Delete(w.sources, 0, 1)
	}
	for i := range w.sources {
		w.live(&w.sources[i], passed)
	}
	for range w.dice.IntN(3) {
		w.events = append([]eventJSON{{ID: w.id(), Kind: "leaked"}}, w.events...)[:min(len(w.events)+1, journalShown)]
	}
	if w.dice.IntN(5) == 0 {
		w.audit = append([]auditJSON{{ID: w.id(), Action: "evict"}}, w.audit...)
		w.leaks = []leakJSON{{Count: w.id()}}
	}
	return w.show()
}

// live lets a source go on: connections come, go, are lent, returned and pinged.
func (w *world) live(s *sourceJSON, passed float64) {
	s.Stats.Acquires++
	var kept []connJSON
	for _, c := range s.Conns {
		if w.dice.IntN(10) == 0 {
			s.Deaths = append([]deathJSON{{ID: c.ID}}, s.Deaths...)[:min(len(s.Deaths)+1, 128)]
			continue
		}
		c.AgeSeconds += passed
		switch c.State {
		case "idle":
			c.IdleSeconds += passed
		case "in_use":
			c.HeldSeconds += passed
		}
		switch w.dice.IntN(8) {
		case 0:
			c.State, c.Uses, c.IdleSeconds, c.HeldSeconds = "in_use", c.Uses+1, 0, w.dice.Float64()*passed
		case 1:
			c.State, c.IdleSeconds, c.HeldSeconds = "idle", w.dice.Float64()*passed, 0
		case 2:
			c.LastHeartbeatSeconds = w.dice.Float64()
		case 3:
			c.State, c.Cause, c.HeldSeconds = "stale", "peer_rst", 0
		}
		kept = append(kept, c)
	}
	for range w.dice.IntN(4) {
		kept = append(kept, connJSON{ID: w.id(), State: "dialing"})
	}
	s.Conns = append([]connJSON{}, kept...)
	s.Limits = &limitsJSON{MaxOpen: w.dice.IntN(2)}
	if w.dice.IntN(5) == 0 {
		s.Learned = []lessonJSON{{Agree: w.dice.IntN(9)}}
		s.Unasked = []unaskedJSON{{Count: w.id()}}
	}
}

func (w *world) show() *snapshotJSON {
	s := &snapshotJSON{
		Schema: schemaVersion, UptimeSeconds: w.now, Now: fmt.Sprint(w.now), EverySeconds: 1, Events: append([]eventJSON{}, w.events...), Audit: slices.Clone(w.audit),
		Leaks: slices.Clone(w.leaks), Sources: slices.Clone(w.sources),
	}
	for i := range s.Sources {
		s.Sources[i].Conns = slices.Clone(s.Sources[i].Conns)
	}
	return s
}

// apply is what the page does with a change.
func apply(was *snapshotJSON, d deltaJSON) *snapshotJSON {
	is := *was
	is.Now, is.UptimeSeconds, is.EverySeconds, is.Control = d.Now, d.UptimeSeconds, d.EverySeconds, d.Control
	passed := d.UptimeSeconds - was.UptimeSeconds
	if d.Audit != nil {
		is.Audit = *d.Audit
	}
	if d.Leaks != nil {
		is.Leaks = *d.Leaks
	}
	is.Events = append(append([]eventJSON{}, d.Events...), was.Events...)
	is.Events = is.Events[:min(len(is.Events), journalShown)]
	is.Sources = nil
	for _, s := range d.Sources {
		if s.Whole != nil {
			is.Sources = append(is.Sources, *s.Whole)
			continue
		}
		at := slices.IndexFunc(was.Sources, func(o sourceJSON) bool { return o.ID == s.ID })
		is.Sources = append(is.Sources, applySource(was.Sources[at], s.Change, passed))
	}
	return &is
}

func applySource(s sourceJSON, d *changeJSON, passed float64) sourceJSON {
	s.Ref, s.Controllable, s.Busy, s.Stats, s.ConnsLeftOut, s.Timings = d.Ref, d.Controllable, d.Busy, d.Stats, d.ConnsLeftOut, d.Timings
	if d.Limits != nil {
		s.Limits = d.Limits
	}
	if d.Unasked != nil {
		s.Unasked = *d.Unasked
	}
	if d.Learned != nil {
		s.Learned = *d.Learned
	}
	s.Deaths = append(append([]deathJSON{}, d.Deaths...), s.Deaths...)
	s.Deaths = s.Deaths[:min(len(s.Deaths), 128)]
	told := slices.Clone(d.Conns)
	conns := []connJSON{}
	for _, c := range s.Conns {
		if slices.Contains(d.Gone, c.ID) {
			continue
		}
		if at := slices.IndexFunc(told, func(o connJSON) bool { return o.ID == c.ID }); at >= 0 {
			conns = append(conns, told[at])
			told = slices.Delete(told, at, at+1)
			continue
		}
		c.AgeSeconds += passed
		if c.State == "idle" {
			c.IdleSeconds += passed
		}
		if c.State == "in_use" {
			c.HeldSeconds += passed
		}
		conns = append(conns, c)
	}
	s.Conns = append(conns, told...)
	return s
}

// alike compares two states, but for clocks of connections that lie less than two jitters apart.
func alike(t *testing.T, got, want *snapshotJSON) {
	t.Helper()
	for i := range min(len(got.Sources), len(want.Sources)) {
		for k := range min(len(got.Sources[i].Conns), len(want.Sources[i].Conns)) {
			g, w := &got.Sources[i].Conns[k], &want.Sources[i].Conns[k]
			for _, clocks := range [][2]*float64{{&g.AgeSeconds, &w.AgeSeconds}, {&g.IdleSeconds, &w.IdleSeconds}, {&g.HeldSeconds, &w.HeldSeconds}} {
				if off := *clocks[0] - *clocks[1]; off < -2*jitter || off > 2*jitter {
					t.Errorf("connection %d: a clock is %v s off", g.ID, off)
				}
				*clocks[0] = *clocks[1]
			}
		}
	}
	if !reflect.DeepEqual(got, want) {
		have, _ := json.Marshal(got)
		should, _ := json.Marshal(want)
		t.Fatalf("by changes:\n%s\nin truth:\n%s", have, should)
	}
}

func TestChangesLeadToTheSameStateAsSnapshots(t *testing.T) {
	for seed := range uint64(50) {
		w := &world{dice: rand.New(rand.NewPCG(seed, 1))} //nolint:gosec // a test
		truth := w.step()
		page := truth
		for range 60 {
			next := w.step()
			raw, err := json.Marshal(diff(truth, next))
			if err != nil {
				t.Fatal(err)
			}
			var d deltaJSON
			if err := json.Unmarshal(raw, &d); err != nil {
				t.Fatal(err)
			}
			page = apply(page, d)
			alike(t, page, next)
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
			truth = next
		}
	}
}

func TestTenThousandConnectionsThatRestAreNotToldAgain(t *testing.T) {
	const n = 10_000
	state := func(at float64) *snapshotJSON {
		s := sourceJSON{ID: 1, Name: "p", Limits: &limitsJSON{}, Timings: []timingJSON{}}
		for i := range n {
			s.Conns = append(s.Conns, connJSON{ID: uint64(i + 1), State: "idle", Peer: "db:5432", AgeSeconds: at, IdleSeconds: at})
		}
		return &snapshotJSON{UptimeSeconds: at, Sources: []sourceJSON{s}}
	}
	was, is := state(5), state(6)
	is.Sources[0].Conns[n/2].LastHeartbeatSeconds = 0.001
	d := diff(was, is)
	raw, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	if told := d.Sources[0].Change.Conns; len(told) != 1 || told[0].ID != n/2+1 || len(raw) > 4096 {
		t.Errorf("of %d connections one was pinged; %d are told of, in %d bytes", n, len(told), len(raw))
	}
}
