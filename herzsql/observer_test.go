package herzsql_test

import (
	"testing"

	"herz.example/herz/herzsql"
	"herz.example/herz/pool"
)

// viewer is an observer that keeps the source it is bound to, and counts.
type viewer struct {
	src    pool.Source
	events map[pool.EventKind]int
}

func (v *viewer) Bind(src pool.Source) pool.Observer {
	v.src = src
	return v
}

func (v *viewer) Observe(e pool.Event) { v.events[e.Kind]++ }
func (v *viewer) WantsLoans() bool     { return false }

func TestObserverIsBoundToTheDatabaseAndSeesItsNumbersAndSetsItsLimits(t *testing.T) {
	inBothModes(t, func(t *testing.T, m mode) {
		s := newServer(t)
		first, second := &viewer{events: map[pool.EventKind]int{}}, &viewer{events: map[pool.EventKind]int{}}
		db, err := m.open("fake", s.listener.Addr().String(), herzsql.WithName("orders"), herzsql.WithLimits(pool.Limits{MaxOpen: 4}),
			herzsql.WithObserver(first), herzsql.WithObserver(second))
		if err != nil {
			t.Fatal(err)
		}
		fill(t, db, 2)
		if st := first.src.Stats(); first.src.Name() != "orders" || st.Open != 2 || first.src.Limits().MaxOpen != 4 || len(first.src.Snapshot()) != 2 {
			t.Errorf("the source of the observer shows %+v", st)
		}
		l := first.src.Limits()
		l.MaxOpen = 3
		if err := first.src.(interface{ SetLimits(pool.Limits) error }).SetLimits(l); err != nil || herzsql.Source(db).Limits().MaxOpen != 3 {
			t.Errorf("limits through the source: %v", err)
		}
		if n := first.src.(interface{ Drift() int }).Drift(); n != 0 {
			t.Errorf("%d of two good connections have drifted", n)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		for _, v := range []*viewer{first, second} {
			if v.events[pool.PoolCreated] != 1 || v.events[pool.PoolClosed] != 1 || v.events[pool.ConnectionReady] != 2 || v.events[pool.LimitsChanged] != 1 {
				t.Errorf("told %v", v.events)
			}
		}
	})
}
